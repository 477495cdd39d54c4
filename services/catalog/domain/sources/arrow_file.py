"""Parquet files, and Arrow IPC files and streams (Feather)."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.data.schema import ColumnType
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.arrow_columns import (
    convert_batch,
    is_number_list,
    plan_columns,
)
from services.catalog.domain.sources.base import Found, batch_rows

_ARROW_MAGIC = b"ARROW1"
_SAMPLE_ROWS = 64


class Batches(Protocol):
    """Reads the batches of a file, of some columns, with at most so many rows where it can."""

    schema: pa.Schema

    def read(self, names: Sequence[str], step: int) -> Iterator[pa.RecordBatch]:
        """Yields the batches in order."""
        ...


class ParquetBatches:
    """The batches of a Parquet file."""

    def __init__(self, path: Path) -> None:
        """Reads the schema."""
        self._file = pq.ParquetFile(path, memory_map=True)
        self.schema = self._file.schema_arrow

    def read(self, names: Sequence[str], step: int) -> Iterator[pa.RecordBatch]:
        """See `Batches`."""
        for group in range(self._file.num_row_groups):
            # Texts that repeat are stored once: only rows tell how large rows are.
            for first in itertools.islice(self._read(group, names, _SAMPLE_ROWS), 1):
                yield from self._read(group, names, min(step, _fitting_rows(first)))

    def _read(self, group: int, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(rows, row_groups=[group], columns=list(names))


class IpcBatches:
    """The batches of an Arrow IPC file or stream."""

    def __init__(self, path: Path) -> None:
        """Reads the schema."""
        self._path = path
        with path.open("rb") as file:
            self._is_file = file.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
        with pa.memory_map(str(path)) as source:
            self.schema = self._open(source).schema

    def read(self, names: Sequence[str], step: int) -> Iterator[pa.RecordBatch]:
        """See `Batches`."""
        with pa.memory_map(str(self._path)) as source:
            reader = self._open(source)
            if not self._is_file:
                yield from reader
                return
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def _open(self, source: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
        return pa.ipc.open_file(source) if self._is_file else pa.ipc.open_stream(source)


class ArrowSource:
    """A table whose columns have Arrow types."""

    found = Found()

    def __init__(
        self,
        kind: Callable[[Path], Batches],
        path: Path,
        types: Mapping[str, ColumnType],
    ) -> None:
        """Reads the schema, and the lengths of lists.

        Args:
            kind: How the file is read.
            path: The file.
            types: Types that were asked for, by column.

        Raises:
            InvalidFieldError: It is no such file, or has a column that cannot be imported.
        """
        with _damage_told():
            self._batches = kind(path)
            schema = self._batches.schema
            columns = plan_columns(schema, self._widths(schema), types)
        self._columns = {column.raw.name: column for column in columns}
        self.columns = [column.raw for column in columns]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        chosen = [self._columns[name] for name in names]
        widths = sum(math.prod(column.raw.shape) for column in chosen)
        step = batch_rows(widths, 8 * widths)
        with _damage_told():
            for batch in self._batches.read(names, step):
                size = min(step, _fitting_rows(batch))
                for start in range(0, batch.num_rows, size):
                    rows = batch.slice(start, size)
                    rows.validate(full=True)  # offsets and encodings come from a stranger
                    yield convert_batch(rows, chosen)

    def _widths(self, schema: pa.Schema) -> dict[str, int]:
        """Returns the lengths of lists of numbers: those of fixed size, and of the first rows."""
        lists = [field for field in schema if is_number_list(field.type)]
        widths = {
            field.name: field.type.list_size
            for field in lists
            if pa.types.is_fixed_size_list(field.type)
        }
        rest = [field.name for field in lists if field.name not in widths]
        if not rest:
            return widths
        for batch in itertools.islice(self._batches.read(rest, 1000), 1):
            batch.validate(full=True)
            for name in rest:
                longest = pc.max(pc.list_value_length(batch.column(name))).as_py()
                widths[name] = longest or 0
        return widths


def _fitting_rows(batch: pa.RecordBatch) -> int:
    """Returns how many rows like those of a batch another one should have."""
    size = sum(_mean_bytes(column) for column in batch.columns)
    return batch_rows(batch.num_columns, round(size))


def _mean_bytes(values: pa.Array) -> float:
    if pa.types.is_dictionary(values.type):  # it is read without its dictionary
        return _mean_bytes(values.dictionary)
    return float(values.nbytes) / max(1, len(values))


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0][:200]
        raise bad_file(
            f"the file cannot be read ({first}); write it again", "UNREADABLE_FILE"
        ) from error

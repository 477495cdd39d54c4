"""What the importer asks of a file format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, AnyStr, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import ColumnType
from services.catalog.domain.fields import bad_file
from services.catalog.domain.spec import CsvOptions

MAX_COLUMNS = 10_000
"""Columns that a table may have."""

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Size that a line of a text format may have."""

# What a batch holds at most: bounds memory for long, wide and heavy rows alike.
_BATCH_ROWS = 65_536
_BATCH_CELLS = 1 << 21
_BATCH_BYTES = 32 * 1024 * 1024
_SAMPLES = 16
_SAMPLE_BYTES = 64 * 1024


class RawKind(Enum):
    """What a source knows about the values of a column."""

    UNPARSED = "unparsed"  # text that may stand for numbers, truth values or times
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    IMAGE = "image"
    EMBEDDING = "embedding"  # lists of numbers, all of one length


@dataclass(frozen=True)
class RawColumn:
    """A column as a file gives it.

    Attributes:
        name: Column name, unique in the source.
        kind: What is known about its values.
        shape: (channels, height, width) of an image, (length,) of an embedding, else empty.
        type: Its type where the format says it; None to go by the values.
    """

    name: str
    kind: RawKind
    shape: tuple[int, ...] = ()
    type: ColumnType | None = None


@dataclass(frozen=True)
class Found:
    """What a file says by itself, where the request does not.

    Attributes:
        target: Column that is the target by the format's own rules; empty for none.
        csv: How a CSV file is written; None for other formats.
    """

    target: str = ""
    csv: CsvOptions | None = None


class MisreadError(Exception):
    """A file is not what it seemed: the source has taken that back and must be read anew."""


class Source(Protocol):
    """Rows of a file, which can be read more than once, in the same order each time."""

    @property
    def columns(self) -> Sequence[RawColumn]:
        """The columns, in order."""
        ...

    @property
    def found(self) -> Found:
        """What the file says by itself; complete after the first reading."""
        ...

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the rows of some columns in bounded memory, missing values as nulls.

        Texts may come as dictionaries.

        Raises:
            MisreadError: In the first reading only.
            InvalidFieldError: The content cannot be imported; it says where and why.
        """
        ...


def batch_rows(column_count: int, row_bytes: int) -> int:
    """Returns how many rows a batch should have.

    Args:
        column_count: Columns that are read.
        row_bytes: Usual size of a row of them.
    """
    by_cells = _BATCH_CELLS // max(1, column_count)
    by_bytes = _BATCH_BYTES // max(1, row_bytes)
    return max(1, min(_BATCH_ROWS, by_cells, by_bytes))


def line_bytes(path: Path) -> int:
    """Returns the mean size of a text file's lines, of several samples where that is largest."""
    step = max(path.stat().st_size // _SAMPLES, _SAMPLE_BYTES)
    largest = 0
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(number * step)
            sample = file.read(_SAMPLE_BYTES)
            ends = max(sample.count(b"\n"), sample.count(b"\r"))
            rest = b"" if ends else file.readline(MAX_LINE_BYTES)
            largest = max(largest, (len(sample) + len(rest)) // (1 + ends))
    return largest


def numbered_lines(file: IO[AnyStr]) -> Iterator[tuple[int, AnyStr]]:
    """Yields the lines of a file with their numbers, in bounded memory.

    Raises:
        InvalidFieldError: Names a line that is too long.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES:
            raise bad_file(
                f"line {number} is longer than {MAX_LINE_BYTES // 2**20} MiB; break it up",
                "UNREADABLE_FILE",
            )
        yield number, line


def without_nan(numbers: pa.Array) -> pa.Array:
    """Returns numbers with what is NaN as missing."""
    nan = pc.is_nan(numbers)
    if not pc.any(nan).as_py():
        return numbers
    return pc.if_else(nan, pa.scalar(None, numbers.type), numbers)

"""Rows that are slow to read, kept for the second pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from services.catalog.domain.sources.base import Found, RawColumn, Source


class Spooled:
    """A source that is read once; what it gave is kept in a file and read from there again.

    Each batch is an Arrow stream of its own, so that a column may be a dictionary in one and plain
    in the next.
    """

    def __init__(self, source: Source, scratch: Path) -> None:
        """Wraps a source.

        Args:
            source: The rows.
            scratch: Directory for the file.
        """
        self._source = source
        self._path = scratch / "spool"
        self._offsets: list[int] | None = None

    @property
    def columns(self) -> Sequence[RawColumn]:
        """See `Source`."""
        return self._source.columns

    @property
    def found(self) -> Found:
        """See `Source`."""
        return self._source.found

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`. The first reading must be of all columns."""
        if self._offsets is None:
            yield from self._read_through()
            return
        # Not mapped: its pages would count as the memory of this process.
        with pa.OSFile(str(self._path)) as file:
            for offset in self._offsets:
                file.seek(offset)
                with pa.ipc.open_stream(file) as stream:
                    yield stream.read_next_batch().select(list(names))

    def _read_through(self) -> Iterator[pa.RecordBatch]:
        offsets = []
        with pa.OSFile(str(self._path), "wb") as file:
            for batch in self._source.batches([column.name for column in self.columns]):
                offsets.append(file.tell())
                with pa.ipc.new_stream(file, batch.schema) as stream:
                    stream.write_batch(batch)
                yield batch
        self._offsets = offsets

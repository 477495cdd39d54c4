"""Data to scan, whatever holds it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Generator
from services.outlier.domain.preparation import RawRows
from services.outlier.domain.preparation.raw import concatenated

_MOST_SAMPLE_BYTES = 128 * 1024 * 1024
_TEXT_BYTES = 256


class Table(Protocol):
    """Rows in batches. Reading again gives the same rows in the same order."""

    @property
    def columns(self) -> Sequence[Column]:
        """The columns to look at."""
        ...

    @property
    def row_count(self) -> int:
        """Number of rows."""
        ...

    def batches(self) -> Iterator[RawRows]:
        """Yields the rows in order, some ten thousands at a time."""
        ...


@dataclass(frozen=True)
class RowsTable:
    """A table whose rows are in memory.

    Attributes:
        raw: All rows.
        columns: What its columns are.
        batch_rows: Rows of a batch.
    """

    raw: RawRows
    columns: Sequence[Column]
    batch_rows: int = 65_536

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return self.raw.count

    def batches(self) -> Iterator[RawRows]:
        """See `Table`."""
        for start in range(0, self.row_count, self.batch_rows):
            yield self.raw.take(slice(start, start + self.batch_rows))


def sample_size(columns: Sequence[Column], row_count: int, most_rows: int) -> int:
    """Returns how many rows are sampled: what fits into 128 MB, and no more than `most_rows`."""
    widths = [_width(column) for column in columns]
    return min(row_count, most_rows, max(2, _MOST_SAMPLE_BYTES // sum(widths)))


def draw_sample(
    table: Table, count: int, generator: Generator, watch: Callable[[int], None]
) -> RawRows:
    """Returns rows chosen at random, in random order; one pass over the table.

    Args:
        table: The rows.
        count: How many, at most as many as there are.
        generator: Chooses.
        watch: Told how many rows have been read; may raise to stop.
    """
    chosen = np.sort(generator.choice(table.row_count, count, replace=False))
    pieces: list[RawRows] = []
    start = 0
    for batch in table.batches():
        low, high = np.searchsorted(chosen, [start, start + batch.count])
        if high > low:
            pieces.append(batch.take(chosen[low:high] - start))
        start += batch.count
        watch(start)
    return concatenated(pieces).take(generator.permutation(count))


def _width(column: Column) -> int:
    """Returns about how many bytes a value and its features take."""
    if column.type is ColumnType.TEXT:
        return _TEXT_BYTES
    return 16 * int(np.prod(column.shape)) if column.shape else 16

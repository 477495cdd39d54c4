"""Data to scan, whatever holds it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, concatenated
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Generator

_MOST_SAMPLE_BYTES = 128 * 1024 * 1024
_TEXT_BYTES = 256

RowNumbers = npt.NDArray[np.int64]


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
        return self.raw.parts(self.batch_rows)


def sample_size(columns: Sequence[Column], row_count: int, most_rows: int) -> int:
    """Returns how many rows are sampled: what fits into 128 MB, and no more than `most_rows`."""
    widths = [_width(column) for column in columns]
    return min(row_count, most_rows, max(2, _MOST_SAMPLE_BYTES // sum(widths)))


def draw_numbers(row_count: int, count: int, generator: Generator) -> RowNumbers:
    """Returns numbers of rows chosen at random, in random order, shape (count,).

    Args:
        row_count: How many rows there are.
        count: How many are wanted, at most as many as there are.
        generator: Chooses.
    """
    chosen = np.sort(generator.choice(row_count, count, replace=False))
    return np.asarray(chosen[generator.permutation(count)], np.int64)


def read_rows(table: Table, numbers: RowNumbers, watch: Callable[[int], None]) -> RawRows:
    """Returns some rows, in the order of their numbers; one pass over the table.

    Args:
        table: The rows.
        numbers: Of the rows, at least one, in any order, shape (rows,).
        watch: Told how many rows have been read; may raise to stop.
    """
    order = np.argsort(numbers, kind="stable")
    places = np.empty(len(numbers), np.int64)
    places[order] = np.arange(len(numbers))
    pieces = [piece for _, piece in read_blocks(table, numbers[order], len(numbers), watch)]
    return concatenated(pieces).take(places)


def read_blocks(
    table: Table, numbers: RowNumbers, block_rows: int, watch: Callable[[int], None]
) -> Iterator[tuple[RowNumbers, RawRows]]:
    """Yields some rows with their numbers, some at a time; one pass over the table.

    Args:
        table: The rows, read up to the last one that is wanted.
        numbers: Of the wanted rows, ascending, shape (rows,).
        block_rows: So many are yielded together, fewer at the end.
        watch: Told how many rows have been read; may raise to stop.
    """
    pieces: list[RawRows] = []
    start = yielded = 0
    batches = table.batches()
    while yielded < len(numbers):
        batch = next(batches)
        low, high = np.searchsorted(numbers, [start, start + batch.count])
        while low < high:
            step = min(high, yielded + block_rows) - low
            pieces.append(batch.take(numbers[low : low + step] - start))
            low += step
            if low in (yielded + block_rows, len(numbers)):
                yield numbers[yielded:low], concatenated(pieces)
                yielded, pieces = int(low), []
        start += batch.count
        watch(start)
    watch(table.row_count)


def _width(column: Column) -> int:
    """Returns about how many bytes a value and its features take."""
    if column.type is ColumnType.TEXT:
        return _TEXT_BYTES
    return 16 * int(np.prod(column.shape)) if column.shape else 16

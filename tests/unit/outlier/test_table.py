"""Samples of tables."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.table import (
    RowsTable,
    draw_numbers,
    read_blocks,
    read_rows,
    sample_size,
)


def counted(rows: int, step: int) -> RowsTable:
    """Returns a table of one column that holds the rows' numbers, in batches of so many."""
    raw = RawRows({"row": np.arange(rows)})
    return RowsTable(raw, [Column("row", ColumnType.NUMERIC)], step)


@given(st.integers(2, 300), st.integers(1, 70), st.integers(1, 40), st.integers(0, 5), st.data())
def test_rows_are_found_by_number(
    rows: int, step: int, block: int, seed: int, data: st.DataObject
) -> None:
    """Different rows are drawn and read as they were drawn, whatever the batches and the blocks."""
    count = data.draw(st.integers(1, rows))
    told: list[int] = []
    numbers = draw_numbers(rows, count, np.random.default_rng(seed))
    assert len(set(numbers.tolist())) == count and 0 <= numbers.min() <= numbers.max() < rows
    found = read_rows(counted(rows, step), numbers, told.append)
    assert (found.columns["row"] == numbers).all()
    assert told[-1] == rows
    blocks = list(read_blocks(counted(rows, step), np.sort(numbers), block, told.append))
    assert all(len(chosen) == block for chosen, _ in blocks[:-1])
    assert all((raw.columns["row"] == chosen).all() for chosen, raw in blocks)
    assert sum(len(chosen) for chosen, _ in blocks) == count


def test_samples_are_in_random_order() -> None:
    """The first rows of a sample are a sample too: detectors that take fewer rows cut it."""
    found = draw_numbers(1000, 1000, np.random.default_rng(0))
    assert 300 < found[:100].mean() < 700


def test_no_more_is_read_than_is_wanted() -> None:
    """A pass ends with the last row that is wanted."""
    told: list[int] = []
    read_rows(counted(1000, 10), np.array([17, 3]), told.append)
    assert told == [10, 20, 1000]


def test_wide_tables_have_small_samples() -> None:
    """A sample fits into memory however wide its rows are."""
    narrow = [Column("x", ColumnType.NUMERIC)] * 20
    wide = [Column("image", ColumnType.IMAGE, shape=(3, 256, 256))]
    assert sample_size(narrow, 10_000_000, 100_000) == 100_000
    assert 2 <= sample_size(wide, 1_000_000, 100_000) < 100
    assert sample_size(narrow, 50, 100_000) == 50

"""Samples of tables."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.data.schema import Column, ColumnType
from services.outlier.domain.preparation import RawRows
from services.outlier.domain.table import RowsTable, draw_sample, sample_size


def counted(rows: int, step: int) -> RowsTable:
    """Returns a table of one column that holds the rows' numbers, in batches of so many."""
    raw = RawRows({"row": np.arange(rows)})
    return RowsTable(raw, [Column("row", ColumnType.NUMERIC)], step)


@given(st.integers(2, 300), st.integers(1, 70), st.integers(0, 5), st.data())
def test_samples_are_rows(rows: int, step: int, seed: int, data: st.DataObject) -> None:
    """A sample has the asked number of different rows, whatever the batches, and is repeatable."""
    count = data.draw(st.integers(1, rows))
    told: list[int] = []
    found, again = (
        draw_sample(counted(rows, width), count, np.random.default_rng(seed), told.append)
        for width in (step, rows)
    )
    values = found.columns["row"].tolist()
    assert len(set(values)) == count and set(values) <= set(range(rows))
    assert again.columns["row"].tolist() == values
    assert told[-1] == rows


def test_samples_are_in_random_order() -> None:
    """The first rows of a sample are a sample too: detectors that take fewer rows cut it."""
    found = draw_sample(counted(1000, 100), 1000, np.random.default_rng(0), lambda done: None)
    assert 300 < found.columns["row"][:100].mean() < 700


def test_wide_tables_have_small_samples() -> None:
    """A sample fits into memory however wide its rows are."""
    narrow = [Column("x", ColumnType.NUMERIC)] * 20
    wide = [Column("image", ColumnType.IMAGE, shape=(3, 256, 256))]
    assert sample_size(narrow, 10_000_000, 100_000) == 100_000
    assert 2 <= sample_size(wide, 1_000_000, 100_000) < 100
    assert sample_size(narrow, 50, 100_000) == 50

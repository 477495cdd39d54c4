"""Values as people read them."""

import numpy as np
import pytest

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from services.outlier.domain.explaining.describing import describe, describe_code, describe_value
from services.outlier.domain.preparation import prepare
from services.outlier.domain.preparation.columns import MISSING_TIME
from services.outlier.domain.preparation.preparation import Prepared


def prepared(
    values: Values, kind: ColumnType, labels: tuple[str, ...] = ()
) -> tuple[Prepared, RawRows]:
    """Returns a column `x` and its rows."""
    raw = RawRows({"x": values}, {"x": labels} if labels else {})
    return prepare(raw, [Column("x", kind)]).columns[0], raw


@pytest.mark.parametrize(
    ("values", "kind", "labels", "texts"),
    [
        (
            np.array([1.0, -3e6, 0.1 + 0.2, 1234567.25, 1e300, np.inf, np.nan]),
            ColumnType.NUMERIC,
            (),
            ["1", "-3000000", "0.3", "1234567.2", "1e+300", "inf", "missing"],
        ),
        (
            np.array([0, 1, -1], np.int32),
            ColumnType.CATEGORICAL,
            ("red", "  long   blue"),
            ["red", "long blue", "missing"],
        ),
        (
            np.array([0, 1_700_000_000_500_000, MISSING_TIME], np.int64),
            ColumnType.TIMESTAMP,
            (),
            ["1970-01-01T00:00:00Z", "2023-11-14T22:13:20.500000Z", "missing"],
        ),
        (
            np.array(["a\nb", "", None, "word " * 100], object),
            ColumnType.TEXT,
            (),
            ["a b", '""', "missing", "word " * 15 + "word…"],
        ),
        (
            np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5),
            ColumnType.IMAGE,
            (),
            ["image 5x4", "image 5x4"],
        ),
        (
            np.array([[1.0, 2.0], [2.0, 4.0], [np.nan, np.nan]], np.float32),
            ColumnType.EMBEDDING,
            (),
            ["embedding of 2 numbers", "embedding of 2 numbers", "missing"],
        ),
    ],
    ids=["numbers", "labels", "times", "texts", "images", "embeddings"],
)
def test_values(
    values: Values, kind: ColumnType, labels: tuple[str, ...], texts: list[str]
) -> None:
    """Each type of value is short, in one line, and says where it is missing."""
    column, raw = prepared(values, kind, labels)
    assert list(describe(column, raw)) == texts
    assert [describe_value(column, raw, row) for row in range(raw.count)] == texts


def test_codes_of_labels() -> None:
    """A label's code is its label; rare ones share a code, and so do those that are not known."""
    names = tuple(f"l{index:02}" for index in range(40))
    column, _ = prepared(
        np.repeat(np.arange(40), 2).astype(np.int32), ColumnType.CATEGORICAL, names
    )
    assert describe_code(column, 1) == "x=l00"
    assert describe_code(column, 31) == "x=one of its rare values"
    assert describe_code(column, 0) == "x missing or new"


def test_codes_of_bins() -> None:
    """A bin's code says where it begins and ends, of numbers and of times."""
    column, raw = prepared(np.arange(800.0), ColumnType.NUMERIC)
    codes = sorted(set(column.codes(raw.columns["x"], ()).tolist()))
    texts = [describe_code(column, code) for code in codes]
    assert texts[0] == "x < 100" and texts[1] == "100 <= x < 200" and texts[-1] == "x >= 700"
    days = np.arange(16, dtype=np.int64) * 86_400_000_000
    column, _ = prepared(days, ColumnType.TIMESTAMP)
    assert describe_code(column, 1).startswith("x < 1970-01-03T00:00:00Z")

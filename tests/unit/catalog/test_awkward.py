"""Columns as they are found in the wild: what is stored and told of them is right."""

import io
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.schema import Column, ColumnType
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.spec import SplitSpec
from tests.unit.catalog.support import Imported, import_bytes

ALL = SplitSpec(validation_fraction=0)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**63), 2**63 - 1)


def import_table(**columns: pa.Array) -> Imported:
    """Imports a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return import_bytes(buffer.getvalue(), DataFormat.PARQUET, split=ALL)


def import_csv(text: str) -> Imported:
    """Imports a CSV file."""
    return import_bytes(text.encode(), split=ALL)


def check_numbers(column: Column, values: list[float]) -> None:
    """Compares what is told of a column with numpy, with room to square the largest doubles."""
    numeric = column.numeric
    assert numeric is not None
    wide = np.array(values, np.longdouble)
    assert (numeric.min, numeric.max) == (float(wide.min()), float(wide.max()))
    scale = max(abs(numeric.min), abs(numeric.max))
    assert numeric.mean == pytest.approx(float(wide.mean()), rel=1e-12, abs=1e-12 * scale)
    assert numeric.stddev == pytest.approx(float(wide.std()), rel=1e-9, abs=1e-7 * scale)
    assert numeric.min <= numeric.mean <= numeric.max
    assert sum(numeric.histogram) == len(values)
    assert column.distinct_count == len(set(values))
    expected = np.percentile(wide, range(0, 101, 5)).astype(np.float64)
    np.testing.assert_allclose(numeric.percentiles, expected, rtol=1e-12, atol=1e-12 * scale)


@settings(max_examples=60)
@given(st.lists(st.one_of(FINITE, st.none(), st.just(float("nan"))), min_size=1, max_size=40))
def test_any_doubles(values: list[float | None]) -> None:
    """Doubles of any size, missing ones among them: stored exactly, statistics as numpy's."""
    got = import_table(x=pa.array(values, pa.float64()))
    column = got.schema.column("x")
    known = [value for value in values if value is not None and not np.isnan(value)]
    assert column.missing_count == len(values) - len(known)
    stored = got.columns["x"]
    assert stored[~np.isnan(stored)].tolist() == known
    if known:
        check_numbers(column, known)
    else:
        assert (column.numeric, column.distinct_count) == (None, 0)


@settings(max_examples=40)
@given(st.lists(st.one_of(WHOLE, st.none()), min_size=1, max_size=30))
def test_any_whole_numbers(values: list[int | None]) -> None:
    """Whole numbers up to 2^53 are exact; beyond, they are the nearest doubles."""
    got = import_table(x=pa.array(values, pa.int64()))
    known = [float(value) for value in values if value is not None]
    stored = got.columns["x"]
    assert stored[~np.isnan(stored.astype(np.float64))].tolist() == known
    if known:
        check_numbers(got.schema.column("x"), known)


def test_largest_whole_numbers() -> None:
    """Unsigned numbers of 64 bits, and vectors of such, are rounded to doubles as well."""
    vectors = pa.array([[2**63 - 1, 1], [2, 3]], pa.list_(pa.int64()))
    got = import_table(u=pa.array([2**64 - 1, 1], pa.uint64()), v=vectors)
    assert got.columns["u"].tolist() == [2.0**64, 1]
    assert got.columns["v"].tolist() == [[2.0**63, 1], [2, 3]]


@pytest.mark.parametrize("text", ["0.1", "1e300", "-7", "123456789012345678"])
def test_constants(text: str) -> None:
    """A constant has no deviation, and its mean is itself."""
    numeric = import_csv("x,z\n" + f"{text},1\n" * 7).schema.column("x").numeric
    assert numeric is not None
    value = float(text)
    assert (numeric.min, numeric.mean, numeric.max, numeric.stddev) == (value, value, value, 0)
    assert set(numeric.percentiles) == {value}


@pytest.mark.parametrize("cells", ["", "NaN", "NA", "null"])
def test_nothing_but_missing(cells: str) -> None:
    """A column without a value is one of numbers, all of them missing."""
    column = import_csv("x,z\n" + f"{cells},1\n" * 3).schema.column("x")
    assert (column.type, column.missing_count, column.numeric) == (ColumnType.NUMERIC, 3, None)
    assert import_table(x=pa.nulls(3)).schema.column("x").missing_count == 3


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e400"])
def test_infinite(text: str) -> None:
    """Infinite numbers, and those too large for a double, are refused with their row."""
    with pytest.raises(InvalidFieldError, match="column `x` holds an infinite value in row 2"):
        import_csv(f"x,z\n1,1\n{text},2\n")


def test_old_and_far_times() -> None:
    """Times before 1970 and of the whole range of years are kept to the microsecond."""
    got = import_csv("t,z\n0001-01-01,1\n1969-12-31T23:59:59.999999,2\n9999-12-31T23:59:59,3\n")
    span = got.schema.column("t").time_range
    assert span is not None
    assert span.min == datetime(1, 1, 1, tzinfo=UTC)
    assert span.max == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert got.columns["t"].tolist()[1] == -1


def test_zones() -> None:
    """Times with zones are told apart by the point in time; a zone only here and there is none."""
    lines = "2024-01-01T00:00:00+05:30,1\n2024-01-01T00:00:00Z,2\n2023-12-31T16:00:00-08:00,3\n"
    column = import_csv(f"t,z\n{lines}").schema.column("t")
    assert (column.type, column.distinct_count) == (ColumnType.TIMESTAMP, 2)
    mixed = import_csv(f"t,z\n{lines}2024-01-01T00:00:00,4\n")
    assert mixed.schema.column("t").type is ColumnType.CATEGORICAL
    zoned = pa.array([datetime(2024, 1, 1)], pa.timestamp("ns", tz="America/New_York"))
    assert import_table(t=zoned).columns["t"].tolist() == [1704067200 * 10**6]


def test_truth_as_text() -> None:
    """`true` and `false` in any case are truth values; other pairs of words are labels."""
    got = import_csv("b,w,z\nTrue,yes,1\nFALSE,no,2\n,yes,3\ntrue,no,4\n")
    assert got.labels("b") == ["true", "false", None, "true"]
    assert got.labels("w") == ["yes", "no", "yes", "no"]


def test_mixed() -> None:
    """What is now a number, now a word, is a label as it is written."""
    got = import_csv("m,z\n1,1\nabc,2\n2.50,3\ntrue,4\n2024-01-01,5\n")
    assert got.labels("m") == ["1", "abc", "2.50", "true", "2024-01-01"]
    lines = b'{"a":1}\n{"a":"x"}\n{"a":true}\n{"a":null}\n{"a":[1]}\n'
    mixed = import_bytes(lines, DataFormat.JSON_LINES, split=ALL)
    assert mixed.labels("a") == ["1", "x", "true", None, "[1]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,a,b\n1,2,3\n", "names `a` more than once"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        ("a,b\n", "no rows"),
    ],
)
def test_no_table(text: str, words: str) -> None:
    """Names that are there twice or missing, and a file of names alone, are refused."""
    with pytest.raises(InvalidFieldError, match=words):
        import_csv(text)


def test_one_row() -> None:
    """A single row is a data set, all of it to train on."""
    got = import_bytes(b"a,b\n1,x\n")
    assert (got.data.data.counts.train, got.data.data.counts.total) == (1, 1)


def test_names_of_any_script() -> None:
    """Names are kept to the letter, in any script and direction."""
    names = ["שלום", "حجم", "名前", "é", "e\u0301", "a b", "👍"]
    got = import_csv(f"{','.join(names)}\n" + "1,2,3,4,5,6,7\n" * 2)
    assert [column.name for column in got.schema.columns] == names


def test_many_columns() -> None:
    """Two thousand columns are as good as two."""
    values = np.arange(60_000).reshape(30, 2000) * 1.5
    header = ",".join(f"c{index}" for index in range(2000))
    lines = "".join(",".join(map(str, row)) + "\n" for row in values.tolist())
    got = import_csv(f"{header}\n{lines}")
    np.testing.assert_array_equal(np.array([got.columns[f"c{i}"] for i in range(2000)]).T, values)
    check_numbers(got.schema.column("c1999"), values[:, 1999].tolist())

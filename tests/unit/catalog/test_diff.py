"""Differences between versions, from their statistics."""

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.catalog.v1 import dataset_pb2
from services.catalog.domain.diff import (
    diff_versions,
    population_stability_index,
    wasserstein_distance,
)
from tests.unit.catalog.support import import_bytes, version_of

QUANTILES = st.lists(st.floats(-1e6, 1e6), min_size=21, max_size=21).map(sorted)


def version(text: str) -> dataset_pb2.DatasetVersion:
    """Imports a CSV."""
    return version_of(import_bytes(text.encode()).data)


@settings(max_examples=50)
@given(QUANTILES, QUANTILES)
def test_wasserstein(before: list[float], now: list[float]) -> None:
    """The distance is that of samples drawn along the two quantile functions."""
    steps, at = np.linspace(0, 1, 21), np.linspace(0, 1, 20_001)
    expected = np.abs(np.interp(at, steps, before) - np.interp(at, steps, now)).mean()
    assert wasserstein_distance(before, now) == pytest.approx(expected, rel=1e-2, abs=1)
    assert wasserstein_distance(now, before) == pytest.approx(wasserstein_distance(before, now))


def test_wasserstein_of_a_shift() -> None:
    """Moving all values by 3 is a distance of 3."""
    assert wasserstein_distance([0, 1, 5], [3, 4, 8]) == 3


def test_stability_index() -> None:
    """The index is the textbook's sum, and finite where a bin is empty."""
    expected = 0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5)
    assert population_stability_index([0.5, 0.5], [0.6, 0.4]) == pytest.approx(expected)
    assert population_stability_index([1, 0], [0, 1]) > 10


def test_equal_data() -> None:
    """The same content is identical, and nothing moved."""
    one = version("x,c\n" + "".join(f"{i / 3},{'ab'[i % 2]}\n" for i in range(40)))
    diff = diff_versions(one, one)
    assert diff.identical
    assert [column.change for column in diff.columns] == [dataset_pb2.COLUMN_CHANGE_KEPT] * 2
    assert not any(column.drifted for column in diff.columns)


def test_columns_come_and_go() -> None:
    """Added, removed and retyped columns are told apart, removed ones last."""
    base = version("a,b,c\n" + "1.5,x,true\n2.5,y,false\n" * 10)
    newer = version("b,c,d\n" + "x,1.5,2.5\ny,2.5,4.5\n" * 10)
    found = {column.name: column.change for column in diff_versions(base, newer).columns}
    assert found == {
        "b": dataset_pb2.COLUMN_CHANGE_KEPT,
        "c": dataset_pb2.COLUMN_CHANGE_RETYPED,
        "d": dataset_pb2.COLUMN_CHANGE_ADDED,
        "a": dataset_pb2.COLUMN_CHANGE_REMOVED,
    }
    assert list(found)[-1] == "a"


def of_column(rows: int, **column: object) -> dataset_pb2.DatasetVersion:
    """Returns a version of one column with these statistics."""
    schema = dataset_pb2.Schema(
        columns=[dataset_pb2.ColumnSchema(name="c", **column)]  # type: ignore[arg-type]
    )
    return dataset_pb2.DatasetVersion(digest=str(column), schema=schema, row_count=rows)


def numbers(values: Sequence[float]) -> dataset_pb2.DatasetVersion:
    """Returns a version of a numeric column."""
    statistics = dataset_pb2.NumericStatistics(
        stddev=float(np.std(values)), percentiles=np.percentile(values, range(0, 101, 5)).tolist()
    )
    return of_column(len(values), type=dataset_pb2.COLUMN_TYPE_NUMERIC, numeric=statistics)


def labels(counts: dict[str, int], missing: int = 0, shown: int = 20) -> dataset_pb2.DatasetVersion:
    """Returns a version of a categorical column."""
    return of_column(
        sum(counts.values()) + missing,
        type=dataset_pb2.COLUMN_TYPE_CATEGORICAL,
        missing_count=missing,
        distinct_count=len(counts),
        categories=sorted(counts),
        top_values=[
            dataset_pb2.ValueCount(value=value, count=count)
            for value, count in sorted(counts.items(), key=lambda item: -item[1])[:shown]
        ],
    )


def days(first: datetime, last: datetime) -> dataset_pb2.DatasetVersion:
    """Returns a version of a timestamp column."""
    span = dataset_pb2.TimeRange()
    span.min.FromDatetime(first)
    span.max.FromDatetime(last)
    return of_column(28, type=dataset_pb2.COLUMN_TYPE_TIMESTAMP, time_range=span)


def test_numbers_that_moved() -> None:
    """A shift by one standard deviation is a distance of one, and a drift."""
    values = np.random.default_rng(0).normal(size=500)
    column = diff_versions(
        numbers(values.tolist()), numbers((values + values.std()).tolist())
    ).columns[0]
    assert column.wasserstein == pytest.approx(1)
    assert column.drifted
    assert not column.HasField("psi")


def test_numbers_without_statistics() -> None:
    """A version that carries no percentiles is not said to be the same, nor to have moved."""
    bare = of_column(9, type=dataset_pb2.COLUMN_TYPE_NUMERIC)
    column = diff_versions(bare, numbers([1.0, 2.0])).columns[0]
    assert not column.HasField("wasserstein")
    assert not column.drifted


def test_categories_that_moved() -> None:
    """New and gone categories are named, and the index rises with them."""
    column = diff_versions(labels({"a": 50, "b": 50}), labels({"a": 50, "z": 40}, 10)).columns[0]
    assert (list(column.new_categories), list(column.gone_categories)) == (["z"], ["b"])
    assert column.psi > 0.25
    assert column.drifted
    assert (column.base_missing_share, column.missing_share) == (0, 0.1)


def test_rare_values_are_in_the_rest() -> None:
    """A value that only one version counts does not look as if the other had none of it."""
    counts = {f"v{number:02d}": 10 for number in range(40)}
    turned = dict(reversed(counts.items()))
    column = diff_versions(labels(counts), labels(turned)).columns[0]
    assert column.psi == pytest.approx(0)


def test_times_that_moved() -> None:
    """Timestamps are compared by their span."""
    base = days(datetime(2024, 1, 1), datetime(2024, 1, 28))
    column = diff_versions(base, days(datetime(2024, 3, 1), datetime(2024, 3, 28))).columns[0]
    assert column.wasserstein == pytest.approx(60 / (27 / math.sqrt(12)))

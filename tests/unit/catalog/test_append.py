"""Appending: what is known of two pieces together, and what does not fit."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.memory import MemoryStore
from common.data.schema import ColumnType, Task
from common.errors import InvalidFieldError
from services.catalog.domain.append import appended, check_columns, merge_statistics
from services.catalog.domain.append_spec import like_base
from services.catalog.domain.groups import RowsBefore
from services.catalog.domain.labels import sorted_labels
from services.catalog.domain.spec import ImportSpec, SplitMethod, SplitSpec, TimeSeriesSpec
from tests.unit.catalog.support import field_of, import_bytes, version_of

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
ANY_NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
SPEC = ImportSpec(dataset="datasets/d", upload="uploads/u")


def version(text: str, **asked: object) -> dataset_pb2.DatasetVersion:
    """Imports a CSV as a version."""
    made = version_of(import_bytes(text.encode(), **asked).data)  # type: ignore[arg-type]
    made.split_counts.train = made.row_count
    return made


def statistics_of(values: list[float]) -> dataset_pb2.NumericStatistics:
    """Returns the statistics of numbers as an import gives them."""
    numbers = np.array(values)
    return dataset_pb2.NumericStatistics(
        min=numbers.min(),
        max=numbers.max(),
        mean=numbers.mean(),
        stddev=numbers.std(),
        histogram=np.histogram(numbers, 20)[0].tolist(),
        percentiles=np.percentile(numbers, range(0, 101, 5)).tolist(),
    )


@settings(max_examples=60)
@given(NUMBERS, NUMBERS)
def test_statistics_of_two_groups(first: list[float], second: list[float]) -> None:
    """Moments and extremes are those of all numbers; no row is lost; percentiles are in order."""
    merged = merge_statistics(
        statistics_of(first), statistics_of(second), (len(first), len(second))
    )
    together = np.array(first + second)
    assert (merged.min, merged.max) == (together.min(), together.max())
    assert merged.mean == pytest.approx(together.mean(), rel=1e-9, abs=1e-6)
    assert merged.stddev == pytest.approx(together.std(), rel=1e-6, abs=1e-3)
    assert sum(merged.histogram) == len(together)
    percentiles = list(merged.percentiles)
    assert percentiles == sorted(percentiles)
    assert (percentiles[0], percentiles[-1]) == (merged.min, merged.max)


@settings(max_examples=60)
@given(ANY_NUMBERS, ANY_NUMBERS)
@example([1e155, -1e155], [2e155])
@example([-1.5e308], [1.5e308])
@example([5e-324, 0], [1e-323])
def test_statistics_of_any_doubles(first: list[float], second: list[float]) -> None:
    """The largest and the smallest doubles have statistics too."""
    parts = []
    for values in (first, second):
        lines = "".join(f"{value!r}\n" for value in values)
        parts.append(version("x\n" + lines).schema.columns[0].numeric)
    merged = merge_statistics(parts[0], parts[1], (len(first), len(second)))
    assert merged.min <= merged.mean <= merged.max
    assert 0 <= merged.stddev < np.inf
    assert sum(merged.histogram) == len(first) + len(second)
    assert list(merged.percentiles) == sorted(merged.percentiles)


def test_percentiles_of_two_groups() -> None:
    """Percentiles of a mixture are near those of all its numbers."""
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, 3000), random.normal(4, 2, 1000)
    merged = merge_statistics(
        statistics_of(first.tolist()), statistics_of(second.tolist()), (3000, 1000)
    )
    expected = np.percentile(np.concatenate([first, second]), range(5, 100, 5))
    assert np.abs(np.array(merged.percentiles[1:-1]) - expected).max() < 0.25


def test_rows_and_categories() -> None:
    """The shards of both are named in order, counts add up, labels are those of either."""
    base = version("x,c\n" + "1,b\n2,c\n" * 10)
    piece = version("c,x\n" + "a,300.5\nb,\n" * 5)
    whole = appended(base, piece)
    assert [shard.data.sha256 for shard in whole.shards] == [
        base.shards[0].data.sha256,
        piece.shards[0].data.sha256,
    ]
    assert (whole.row_count, whole.split_counts.train) == (30, 30)
    assert (whole.base_version, whole.lineage.inputs[-1]) == (base.name, base.name)
    assert whole.digest not in (base.digest, piece.digest)
    x, c = whole.schema.columns
    assert (x.name, x.missing_count, x.numeric.max) == ("x", 5, 300.5)
    assert list(c.categories) == ["a", "b", "c"]
    assert c.distinct_count == 3


def test_numbers_as_labels_are_in_order() -> None:
    """Labels that are numbers stay sorted by value."""
    base = version("y,x\n" + "2,1\n10,1\n" * 5, target="y")
    piece = version("y,x\n" + "3,1\n" * 5, **asked_of(base))
    assert list(appended(base, piece).schema.columns[0].categories) == ["2", "3", "10"]


@pytest.mark.parametrize(
    ("before", "new", "labels"),
    [
        (["01", "02", "x"], ["01", "02"], ["01", "02", "x"]),
        (["01", "02", "x"], ["1", "x"], ["01", "02", "1", "x"]),
        (["true", "false", "maybe"], ["true", "false"], ["false", "maybe", "true"]),
        (["1", "2"], ["1.0", "02", "3.0", "3"], ["1", "2", "3"]),
        (["1", "2"], ["x", "1.0"], ["1", "2", "x"]),
    ],
)
def test_labels_are_matched(before: list[str], new: list[str], labels: list[str]) -> None:
    """New rows bring no label that is one of those before in another shape."""
    base = version("y,x\n" + "".join(f"{label},1\n" for label in before * 5), target="y")
    piece = version("y,x\n" + "".join(f"{label},1\n" for label in new), **asked_of(base))
    column = appended(base, piece).schema.columns[0]
    assert (list(column.categories), column.type) == (
        sorted(labels),
        dataset_pb2.COLUMN_TYPE_CATEGORICAL,
    )


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["0", "00", "1", "01", "1.0", "2", "x"]), min_size=1))
def test_known_labels_keep_their_rows(new: list[str]) -> None:
    """Rows with a label of those before have it; as many rows are counted as there are."""
    base = version("y\n" + "1\n2\n01\n" * 2, column_types={"y": ColumnType.CATEGORICAL}, target="y")
    got = import_bytes(("y\n" + "\n".join(new)).encode(), **asked_of(base))  # type: ignore[arg-type]
    for written, label in zip(new, got.labels("y"), strict=True):
        known = written in ("1", "2", "01")
        assert label == written if known else label is not None
    assert sum(top.count for top in got.schema.column("y").top_values) == len(new)


def test_labels_of_one_value_have_an_order() -> None:
    """Labels that are the same number are sorted as they are written, in every process."""
    labels = ["1.0", "01", "1", "0.5"]
    for order in itertools.permutations(labels):
        assert sorted_labels(order) == ["0.5", "01", "1", "1.0"]


def test_truth_values_of_two_pieces() -> None:
    """A column that was constant in both pieces is not in the whole."""
    base = version("b,x\n" + "true,1\n" * 4)
    whole = appended(base, version("b,x\n" + "false,1\n" * 6, **asked_of(base)))
    (column, _) = whole.schema.columns
    assert column.distinct_count == 2
    assert [(top.value, top.count) for top in column.top_values] == [("false", 6), ("true", 4)]


def asked_of(base: dataset_pb2.DatasetVersion) -> dict[str, object]:
    """Returns the part of a request that an append takes from the older version."""
    spec = like_base(SPEC.model_copy(update={"append": True}), base)
    return {
        "target": spec.target,
        "task": spec.task,
        "column_types": spec.column_types,
        "append": True,
        "before": RowsBefore(base, MemoryStore()),
    }


def test_types_follow_the_base() -> None:
    """What was text, labels or numbers before is that again, whatever the new rows look like."""
    base = version(
        "t,c,y\n" + "".join(f"text {row},{'ab'[row % 2]},{row % 2}\n" for row in range(50))
    )
    spec = like_base(SPEC, base)
    types = {"t": ColumnType.TEXT, "c": ColumnType.CATEGORICAL, "y": ColumnType.CATEGORICAL}
    assert spec.column_types == types
    assert (spec.target, spec.task) == ("y", Task.CLASSIFICATION)
    piece = version("t,c,y\nsame,7,1\nsame,8,1\n", **asked_of(base))
    whole = appended(base, piece)
    assert [column.type for column in whole.schema.columns] == [
        column.type for column in base.schema.columns
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("oops,1,true", r"`x` does not hold numeric values \(`oops` in row 2\)"),
        ("1,1,maybe", "`y` does not hold boolean values"),
    ],
)
def test_values_of_other_types_than_before(row: str, words: str) -> None:
    """New rows that are not of the types before are refused with a cure that can be followed."""
    base = version("x,c,y\n" + "1,b,true\n2,c,false\n" * 10, target="y")
    with pytest.raises(InvalidFieldError, match=f"{words}.*correct the file") as caught:
        version(f"x,c,y\n1,b,true\n{row}\n", **asked_of(base))
    assert (field_of(caught.value), caught.value.reason) == (
        "dataset_import.spec.upload",
        "OTHER_COLUMNS",
    )


def test_what_does_not_fit() -> None:
    """Another type, another target and groups are refused with the field."""
    base = version("x,c\n" + "1,b\n2,c\n" * 10)
    with pytest.raises(InvalidFieldError, match="`x` is categorical where"):
        appended(base, version("x,c\n" + "a,b\nb,c\n" * 10))
    with pytest.raises(InvalidFieldError) as caught:
        like_base(SPEC.model_copy(update={"target": "c"}), base)
    assert field_of(caught.value) == "dataset_import.spec.target"
    grouped = SplitSpec(method=SplitMethod.GROUPED, column="c")
    with pytest.raises(InvalidFieldError, match="was not split by the groups of `c`") as caught:
        like_base(SPEC.model_copy(update={"split": grouped}), base)
    assert field_of(caught.value) == "dataset_import.spec.split.method"
    series = TimeSeriesSpec(time_column="x")
    with pytest.raises(InvalidFieldError, match="has no time series") as caught:
        like_base(SPEC.model_copy(update={"time_series": series}), base)
    assert field_of(caught.value) == "dataset_import.spec.time_series"


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"task": Task.REGRESSION}, "task", "is classification in"),
        ({"column_types": {"x": ColumnType.TEXT}}, "column_types", "`x` is numeric in"),
        ({"column_types": {"z": ColumnType.TEXT}}, "column_types", "no column `z`, but `x`, `y`"),
        ({"targets": ["x", "y"]}, "targets", "is `y` in"),
        ({"target": "x"}, "target", "is `y` in"),
    ],
)
def test_other_wishes_than_before(asked: dict[str, object], field: str, words: str) -> None:
    """What contradicts the version before is refused, what repeats it is not."""
    base = version("x,y\n" + "1,b\n2,c\n" * 10)
    with pytest.raises(InvalidFieldError, match=f"{words}.*leave it out") as caught:
        like_base(SPEC.model_copy(update=asked), base)
    assert field_of(caught.value) == f"dataset_import.spec.{field}"
    same = {"target": "y", "task": Task.CLASSIFICATION, "column_types": {"x": ColumnType.NUMERIC}}
    assert like_base(SPEC.model_copy(update=same), base) == like_base(SPEC, base)


def test_targets_of_the_base() -> None:
    """Several targets are all of them or none; a base without a target has none to name."""
    several = version("x,y,z\n1,0,1\n2,1,0\n", targets=["y", "z"])
    with pytest.raises(InvalidFieldError, match="is `y`, `z` in"):
        like_base(SPEC.model_copy(update={"target": "y"}), several)
    named = SPEC.model_copy(update={"targets": ["z", "y"]})
    assert like_base(named, several) == like_base(SPEC, several)
    without = version("x,c\n" + "1,b\n2,c\n" * 10)
    with pytest.raises(InvalidFieldError, match="is none in"):
        like_base(SPEC.model_copy(update={"target": "c"}), without)


def series_table(days: range, names: str) -> str:
    """Returns daily rows of series."""
    lines = (f"2024-01-{day:02d},{name},{day}\n" for name in names for day in days)
    return "when,who,y\n" + "".join(lines)


def test_series_go_on() -> None:
    """Appended rows are checked as series too, without being told so; another kind is refused."""
    asked = {"target": "y", "time_series": TimeSeriesSpec(time_column="when", series_column="who")}
    base = version(series_table(range(1, 9), "ab"), **asked)
    spec = like_base(SPEC, base)
    assert spec.time_series is not None
    assert (spec.time_series.time_column, spec.time_series.covariates) == ("when", [])
    assert like_base(SPEC.model_copy(update=asked), base) == spec
    piece = version(
        series_table(range(9, 12), "abc"), target="y", task=spec.task, time_series=spec.time_series
    )
    whole = appended(base, piece).schema.time_series
    assert (whole.series_count, whole.frequency) == (3, "D")
    asked = {"target": "y", "task": spec.task, "time_series": spec.time_series}
    asked["before"] = RowsBefore(base, MemoryStore())
    single = version(series_table(range(9, 10), "ab"), **asked)
    assert appended(base, single).schema.time_series.frequency == "D"
    assert appended(single, base).schema.time_series.frequency == "D"
    varying = "when,who,y\n2024-01-09,a,1\n2024-01-10,a,1\n2024-01-14,a,1\n2024-01-21,a,2\n"
    assert appended(base, version(varying, **asked)).schema.time_series.frequency == ""
    with pytest.raises(InvalidFieldError, match="2 rows for"):
        version(series_table(range(9, 10), "aa"), target="y", time_series=spec.time_series)
    other = TimeSeriesSpec(time_column="y")
    with pytest.raises(InvalidFieldError, match="the time in `when`"):
        like_base(SPEC.model_copy(update={"time_series": other}), base)


def test_other_columns() -> None:
    """Missing and additional columns are named; another order is none."""
    base = version("x,c\n" + "1,b\n2,c\n" * 10)
    check_columns(["c", "x"], base)
    with pytest.raises(InvalidFieldError, match="lacks `x` and has `z` besides"):
        check_columns(["c", "z"], base)

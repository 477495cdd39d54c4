"""What does not fit the data is refused by field with the cure; what is left open is filled in."""

from typing import Any

import pytest

from aimass.tuner.v1 import tuner_pb2
from common.data.schema import (
    Column,
    ColumnType,
    NumericStatistics,
    Schema,
    SplitCounts,
    Task,
    TimeSeries,
    ValueCount,
)
from common.errors import InvalidFieldError, InvalidInputError
from common.scoring.kinds import ProblemKind
from services.tuner.convert import specification_from_proto, specification_to_proto
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.resolution.resolution import Resolved, resolve_against_data

MIB = 2**20


def number(name: str, least: float = 0.0, most: float = 9.5, distinct: int = 90) -> Column:
    least, most, middle = float(least), float(most), (least + most) / 2
    told = NumericStatistics(least, most, middle, 1.0, percentiles=(least, middle, most))
    return Column(name, ColumnType.NUMERIC, distinct_count=distinct, numeric=told)


def labels(name: str, *categories: str) -> Column:
    count = len(categories)
    return Column(name, ColumnType.CATEGORICAL, categories=categories, distinct_count=count)


def text(name: str, example: str, distinct: int = 100) -> Column:
    tops = (ValueCount(example, 1),)
    return Column(name, ColumnType.TEXT, distinct_count=distinct, top_values=tops)


def flag(name: str) -> Column:
    return Column(name, ColumnType.BOOLEAN, distinct_count=2)


KIND = labels("kind", "a", "b", "c")
WIDTH = number("width")


def data(
    *columns: Column, target: str = "kind", task: Task = Task.CLASSIFICATION, **more: Any
) -> TuningData:
    schema = Schema(columns or (WIDTH, number("length"), KIND), task, target, **more)
    return TuningData("datasets/flowers/versions/2", schema, SplitCounts(70, 10, 20))


def resolve(given: TuningData | None = None, **spec: Any) -> Resolved:
    specification = specification_from_proto(tuner_pb2.TuningSpec(**spec))
    return resolve_against_data(specification, given or data())


def refused(given: TuningData | None = None, **spec: Any) -> tuple[str, str]:
    """Returns the field that is refused, and why."""
    with pytest.raises(InvalidInputError) as raised:
        resolve(given, **spec)
    [violation] = raised.value.violations
    return violation.field.removeprefix("tuning_run.spec."), violation.description


def test_defaults_are_filled_in() -> None:
    found = resolve().specification
    assert (found.model, found.dataset_version) == ("models/flowers", "datasets/flowers/versions/2")
    assert (found.targets, found.kind, found.metric) == (("kind",), "multiclass", "log_loss")
    assert (found.budget, found.concurrency, found.trial_memory_bytes) == (600, 1, 2048 * MIB)
    assert "random_forest" in found.families and "gaussian_process" not in found.families


def test_a_resolved_specification_resolves_to_itself() -> None:
    """The job reads it from the record."""
    costs = tuner_pb2.CostMatrix(
        rows=[
            tuner_pb2.CostRow(truth=truth, costs={"a": 2.0} if truth != "a" else {"b": 1.0})
            for truth in "abc"
        ]
    )
    found = resolve(costs=costs, left_out=["length"]).specification
    message = specification_to_proto(found)
    assert specification_from_proto(message) == found
    assert resolve_against_data(found, data()).specification == found


@pytest.mark.parametrize(
    ("target", "task", "kind"),
    [
        (KIND, Task.CLASSIFICATION, ProblemKind.MULTICLASS),
        (labels("kind", "a", "b"), Task.CLASSIFICATION, ProblemKind.BINARY),
        (flag("kind"), Task.CLASSIFICATION, ProblemKind.BINARY),
        (number("kind"), Task.REGRESSION, ProblemKind.REGRESSION),
        (number("kind", 1, 5, 5), Task.REGRESSION, ProblemKind.REGRESSION),
        (number("kind"), Task.UNSUPERVISED, ProblemKind.REGRESSION),
        (number("kind", 0, 2, 3), Task.UNSUPERVISED, ProblemKind.MULTICLASS),
        (number("kind", 0, 1, 2), Task.UNSUPERVISED, ProblemKind.BINARY),
        (number("kind", 0.5, 1.5, 2), Task.UNSUPERVISED, ProblemKind.REGRESSION),
        (flag("kind"), Task.UNSUPERVISED, ProblemKind.BINARY),
    ],
)
def test_the_kind_is_what_the_target_says(target: Column, task: Task, kind: ProblemKind) -> None:
    assert resolve(data(WIDTH, target, task=task)).specification.kind is kind


def test_the_caller_may_choose_another_target_and_kind() -> None:
    given = data(WIDTH, number("size"), KIND)
    found = resolve(given, targets=["size"], kind=tuner_pb2.PROBLEM_KIND_REGRESSION).specification
    assert (found.kind, found.metric) == (ProblemKind.REGRESSION, "rmse")
    assert found.left_out == ("kind",), "the data's own target is no more known than this one"
    assert refused(given, kind=tuner_pb2.PROBLEM_KIND_REGRESSION)[0] == "kind"
    assert refused(given, kind=tuner_pb2.PROBLEM_KIND_BINARY)[0] == "kind"


def test_many_labels_are_predicted_together() -> None:
    given = data(
        WIDTH,
        flag("red"),
        flag("green"),
        target="red",
        task=Task.MULTI_LABEL,
        targets=("red", "green"),
    )
    found = resolve(given).specification
    assert (found.targets, found.kind) == (("red", "green"), ProblemKind.MULTI_LABEL)
    one = resolve(given, targets=["green"]).specification
    assert (one.kind, one.left_out) == (ProblemKind.BINARY, ("red",))
    assert refused(given, kind=tuner_pb2.PROBLEM_KIND_BINARY)[0] == "kind"
    assert "width" in refused(given, targets=["red", "width"])[1]
    assert refused(given, targets=["red", "red"])[0] == "targets[1]"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Column("kind", ColumnType.CATEGORICAL, 95, categories=("a", "b")), "a value in 5 rows"),
        (Column("kind", ColumnType.CATEGORICAL, 7, categories=("a",)), "one value"),
        (labels("kind", "a"), "one value"),
        (number("kind", 4, 4, 1), "one value"),
        (number("kind", 0, float("inf")), "infinite"),
        (text("kind", "some words"), "of type text"),
        (Column("kind", ColumnType.TIMESTAMP), "of type timestamp"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(target: Column, words: str) -> None:
    field, description = refused(data(WIDTH, target))
    assert field == "targets" and words in description
    assert refused(data(WIDTH, target), targets=["kind"])[0] == "targets[0]"


def test_rows_without_a_target_are_no_obstacle() -> None:
    """The search leaves them out."""
    target = Column("kind", ColumnType.CATEGORICAL, 30, categories=("a", "b"), distinct_count=2)
    assert resolve(data(WIDTH, target)).specification.kind is ProblemKind.BINARY


def test_a_target_that_is_not_there_is_refused() -> None:
    assert refused(data(target="", task=Task.UNSUPERVISED))[0] == "targets"
    field, description = refused(targets=["weight"])
    assert field == "targets[0]" and "width, length, kind" in description


def test_too_many_classes_are_refused() -> None:
    given = data(WIDTH, number("kind", 0, 5000, 5000), task=Task.REGRESSION)
    field, description = refused(given, kind=tuner_pb2.PROBLEM_KIND_MULTICLASS)
    assert field == "kind" and "REGRESSION" in description


def test_series_can_be_told_from_their_rows() -> None:
    """Where nobody asks for their future."""
    given = data(WIDTH, number("kind"), task=Task.FORECASTING, time_series=TimeSeries("width"))
    assert refused(given)[0] == "forecast.horizon"
    assert resolve(given, kind=tuner_pb2.PROBLEM_KIND_REGRESSION).specification.metric == "rmse"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([], "No column"),
        ([Column("photo", ColumnType.IMAGE, shape=(3, 7, 8))], "7 x 8 pixels"),
        ([number("one", 3, 3, 1), labels("two", "x")], "no column has two values"),
        ([Column("empty", ColumnType.NUMERIC, missing_count=100)], "no column has two values"),
        ([text("id", "4f2a-99c1")], "identifiers"),
        ([number("id", 1, 100, 100)], "identifiers"),
        ([number("PassengerId", 0, 99, 100)], "identifiers"),
        ([number("id", 1, 100, 100), number("one", 3, 3, 1)], "identifiers"),
    ],
)
def test_columns_that_tell_nothing_are_refused(columns: list[Column], words: str) -> None:
    field, description = refused(data(*columns, KIND))
    assert field == "dataset_version" and words in description


@pytest.mark.parametrize(
    "column",
    [
        text("review", "it broke on the 2nd day"),
        text("review", "第2天就坏了"),
        text("site", "https://example.org/a/long/path/of/many/parts?page=2"),
        text("forename", "Ada"),
        number("size", 0.5, 99.5, 100),
        number("second", 1, 100, 100),
        number("humid", 1, 100, 100),
        Column("marked", ColumnType.CATEGORICAL, 50, categories=("x",), distinct_count=1),
        Column("vector", ColumnType.EMBEDDING, shape=(4,)),
    ],
)
def test_a_single_column_may_be_enough(column: Column) -> None:
    """Texts and measurements differ from row to row too; a gap may tell something."""
    assert resolve(data(column, KIND)).specification.kind is ProblemKind.MULTICLASS


def test_left_out_columns_are_blamed_where_nothing_else_is_left() -> None:
    assert refused(left_out=["width", "length"])[0] == "left_out"
    assert refused(left_out=["width", "depth"])[0] == "left_out[1]"
    assert refused(left_out=["kind"])[0] == "left_out[0]"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (labels("special", "x", "y"), "weights are numbers"),
        (number("special", -1, 1), "runs from -1"),
        (number("special", 0, 0, 1), "runs from 0 to 0"),
    ],
)
def test_a_column_that_weighs_nothing_is_refused(column: Column, words: str) -> None:
    field, description = refused(data(WIDTH, column, KIND), weight_column="special")
    assert field == "weight_column" and words in description


def test_weights_and_groups_are_no_features() -> None:
    given = data(number("weight"), labels("patient", "p", "q"), KIND)
    field, description = refused(given, weight_column="weight", group_column="patient")
    assert field == "dataset_version" and "No column" in description
    assert refused(given, weight_column="kind")[0] == "weight_column"
    assert refused(given, group_column="kind")[0] == "group_column"
    assert refused(given, group_column="doctor")[0] == "group_column"
    assert refused(data(WIDTH, labels("ward", "w"), KIND), group_column="ward")[1]


def test_a_metric_must_fit_the_kind() -> None:
    field, description = refused(metric="rmse")
    assert field == "metric" and "log_loss" in description and "mae" not in description
    assert "log_loss" in refused(metric="loss")[1]
    given = data(WIDTH, number("kind"), task=Task.REGRESSION)
    assert resolve(given, metric="pinball_0.9").specification.metric == "pinball_0.9"
    assert refused(given, metric="pinball_9")[0] == "metric"


def test_families_must_exist_and_learn_the_kind() -> None:
    assert resolve(families=["linear"]).specification.families == ("linear",)
    field, description = refused(families=["linear", "forest"])
    assert field == "families[1]" and "random_forest" in description
    field, description = refused(families=["gaussian_process"])
    assert field == "families[0]" and "random_forest" in description
    assert refused(families=["linear", "linear"])[0] == "families[1]"


def costs(**rows: dict[str, float]) -> dict[str, Any]:
    return {"rows": [tuner_pb2.CostRow(truth=truth, costs=row) for truth, row in rows.items()]}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        (costs(a={"b": 1}, b={"a": 1}), "costs.rows", "no row for `c`"),
        (costs(a={"b": 1}, b={}, d={}), "costs.rows[2].truth", "no class `d`"),
        (costs(a={"d": 1}, b={}, c={}), "costs.rows[0].costs", "no class `d`"),
        (costs(a={}, b={}, c={"a": 1, "b": 1, "c": 1}), "costs", "cost the same"),
        (costs(a={"b": float("nan")}, b={}, c={}), 'costs.rows[0].costs["b"]', "finite"),
        ({"rows": [*costs(a={})["rows"] * 2]}, "costs.rows[1].truth", "two rows"),
        ({}, "costs.rows", "no row for `a`, `b`, `c`"),
    ],
)
def test_costs_must_be_complete(given: dict[str, Any], field: str, words: str) -> None:
    found = refused(costs=given)
    assert found[0] == field and words in found[1]


def test_costs_take_the_place_of_a_metric() -> None:
    whole = costs(a={"b": 5}, b={"a": 1}, c={"a": 1, "b": 1})
    found = resolve(costs=whole).specification
    assert found.metric == "" and found.costs is not None
    assert found.costs.matrix(("c", "a")) == [[0, 1], [0, 0]]
    assert refused(costs=whole, metric="accuracy")[0] == "costs"
    number_data = data(WIDTH, number("kind"), task=Task.REGRESSION)
    assert refused(number_data, costs=whole)[0] == "costs"


def test_costs_of_numbered_classes_are_as_many_as_classes() -> None:
    given = data(WIDTH, number("kind", 0, 1, 2), task=Task.UNSUPERVISED)
    rows = {"rows": [tuner_pb2.CostRow(truth="0", costs={"1": 4.0}), tuner_pb2.CostRow(truth="1")]}
    assert resolve(given, costs=rows).specification.kind is ProblemKind.BINARY
    assert refused(given, costs={"rows": rows["rows"][:1]})[0] == "costs.rows"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"budget": {"seconds": 4}}, "budget"),
        ({"budget": {"seconds": 31 * 86_400}}, "budget"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 65}, "concurrency"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"trial_memory_bytes": MIB}, "trial_memory_bytes"),
        ({"row_latency": {"seconds": -1}}, "row_latency"),
        ({"model_bytes": 0}, "model_bytes"),
        ({"kind": 99}, "kind"),
        ({"families": ["linear", "x" * 2000]}, "families[1]"),
    ],
)
def test_ranges_are_kept(spec: dict[str, Any], field: str) -> None:
    assert refused(**spec)[0] == field


def test_a_trial_can_hold_the_data() -> None:
    large = TuningData(data().name, data().schema, SplitCounts(20_000_000))
    field, description = refused(large, trial_memory_bytes=200 * MIB)
    assert field == "trial_memory_bytes" and "305 MiB" in description
    wide = [number(f"c{place}") for place in range(100)]
    large = TuningData(data().name, data(*wide, KIND).schema, SplitCounts(10_000_000))
    chosen = resolve(large).specification.trial_memory_bytes
    assert chosen == 3 * 100 * 8 * 10_000_000


def test_what_a_search_needs_is_estimated() -> None:
    few, more = resolve().estimate, resolve(concurrency=4).estimate
    assert (few.seconds, few.fold_count) == (600, 8)
    assert more.memory_bytes - few.memory_bytes == 3 * 2048 * MIB
    large = TuningData(data().name, data().schema, SplitCounts(5_000_000))
    assert resolve(large).estimate.fold_count == 1


def test_few_rows_are_refused() -> None:
    """Test rows do not count: nothing is learned from them."""
    few = TuningData(data().name, data().schema, SplitCounts(8, 1, 200))
    with pytest.raises(InvalidFieldError, match="9 training"):
        resolve(few)

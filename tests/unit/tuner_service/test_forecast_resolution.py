"""What is asked of forecasts against the data: defaults, and what is refused with its cure."""

from datetime import UTC, datetime
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
    TimeRange,
    TimeSeries,
)
from common.errors import InvalidFieldError, InvalidInputError
from common.scoring.kinds import ProblemKind
from services.tuner.continuing import check_continued, has_same_trials
from services.tuner.convert import specification_from_proto, specification_to_proto
from services.tuner.domain.names import families_for
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.resolution.resolution import Resolved, resolve_against_data

SPAN = TimeRange(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))


def time(name: str, missing: int = 0) -> Column:
    return Column(name, ColumnType.TIMESTAMP, missing, distinct_count=100, time_range=SPAN)


def number(name: str, least: float = 0.5, most: float = 99.5, missing: int = 0) -> Column:
    least, most = float(least), float(most)
    told = NumericStatistics(least, most, (least + most) / 2, 1.0, percentiles=(least, most))
    return Column(name, ColumnType.NUMERIC, missing, distinct_count=90, numeric=told)


SHOP = Column("shop", ColumnType.CATEGORICAL, categories=("a", "b"), distinct_count=2)
SALES, PRICE, DAY = number("sales"), number("price"), time("day")
SPLIT = SplitCounts(140, 20, 40)


def data(
    *columns: Column,
    task: Task = Task.FORECASTING,
    series: TimeSeries | None = None,
    split_by: str = "day",
) -> TuningData:
    own = series or (TimeSeries("day", "shop") if task is Task.FORECASTING else None)
    schema = Schema(columns or (DAY, SHOP, SALES, PRICE), task, "sales", time_series=own)
    return TuningData("datasets/shops/versions/2", schema, SPLIT, split_by)


def resolve(given: TuningData | None = None, **spec: Any) -> Resolved:
    horizon = {"forecast": {"horizon": 7}}
    specification = specification_from_proto(tuner_pb2.TuningSpec(**(horizon | spec)))
    return resolve_against_data(specification, given or data())


def refused(given: TuningData | None = None, **spec: Any) -> tuple[str, str]:
    """Returns the field that is refused, and why."""
    with pytest.raises(InvalidInputError) as raised:
        resolve(given, **spec)
    [violation] = raised.value.violations
    return violation.field.removeprefix("tuning_run.spec."), violation.description


def test_what_the_data_set_says_is_taken_from_it() -> None:
    found = resolve().specification
    assert (found.kind, found.metric, found.targets) == (
        ProblemKind.FORECASTING,
        "mase",
        ("sales",),
    )
    assert found.forecast is not None
    assert (found.forecast.time_column, found.forecast.series_columns) == ("day", ("shop",))
    assert found.families == tuple(families_for(ProblemKind.FORECASTING))
    assert found.model == "models/shops"
    assert resolve().estimate.fold_count == 12
    assert resolve(budget={"seconds": 60}).estimate.fold_count == 8


def test_a_resolved_specification_resolves_to_itself() -> None:
    """The job reads it from the record."""
    found = resolve(
        forecast={"horizon": 7, "known_columns": ["price"], "season_lengths": [7]},
        metric="smape",
    ).specification
    message = specification_to_proto(found)
    assert specification_from_proto(message) == found
    assert resolve_against_data(found, data()).specification == found


def test_any_data_with_a_time_can_be_forecast() -> None:
    given = data(task=Task.REGRESSION, split_by="")
    found = resolve(given).specification
    assert found.forecast is not None
    assert (found.forecast.time_column, found.forecast.series_columns) == ("day", ())
    two = data(DAY, time("noted"), SALES, task=Task.REGRESSION, split_by="")
    field, words = refused(two)
    assert field == "forecast.time_column" and "`day`, `noted`" in words
    assert resolve(data(DAY, time("noted"), SALES, task=Task.REGRESSION)).specification
    counted = data(number("step", 0, 199), SALES, task=Task.REGRESSION, split_by="")
    assert "there is none" in refused(counted)[1]
    assert resolve(counted, forecast={"horizon": 7, "time_column": "step"}).specification


def test_without_a_horizon_series_can_still_be_told_from_their_rows() -> None:
    field, words = refused(forecast=None)
    assert field == "forecast.horizon" and "REGRESSION" in words
    kind = tuner_pb2.PROBLEM_KIND_REGRESSION
    assert resolve(forecast=None, kind=kind).specification.metric == "rmse"
    assert refused(kind=kind)[0] == "forecast"


@pytest.mark.parametrize(
    ("forecast", "field", "words"),
    [
        ({"time_column": "sales"}, "forecast.time_column", "fractions"),
        ({"time_column": "shop"}, "forecast.time_column", "categorical"),
        ({"time_column": "hour"}, "forecast.time_column", "no column"),
        ({"series_columns": ["sales"]}, "forecast.series_columns[0]", "the target"),
        ({"series_columns": ["shop", "shop"]}, "forecast.series_columns[1]", "twice"),
        ({"series_columns": ["shop", "store"]}, "forecast.series_columns[1]", "no column"),
        ({"known_columns": ["day"]}, "forecast.known_columns[0]", "the time"),
        ({"known_columns": ["shop"]}, "forecast.known_columns[0]", "a series"),
        ({"known_columns": ["cost"]}, "forecast.known_columns[0]", "no column"),
        ({"horizon": -1}, "forecast.horizon", "at least 1"),
        ({"horizon": 10_001}, "forecast.horizon", "at most 10000"),
        ({"season_lengths": [7, 1]}, "forecast.season_lengths[1]", "at least 2"),
        ({"season_lengths": [2, 3, 4, 5]}, "forecast.season_lengths", "at most 3"),
    ],
)
def test_what_does_not_fit_is_refused(forecast: dict[str, Any], field: str, words: str) -> None:
    found = refused(forecast={"horizon": 7} | forecast)
    assert found[0] == field and words in found[1]


def test_the_horizon_is_held_against_the_length_of_the_series() -> None:
    """What is said to be the most is taken."""
    for given, most in ((data(), 77), (data(split_by=""), 65)):
        field, words = refused(given, forecast={"horizon": most + 1})
        assert field == "forecast.horizon" and f"at most {most} steps" in words
        assert resolve(given, forecast={"horizon": most}).specification


def test_rows_without_a_time_or_a_series_are_refused() -> None:
    shop = Column("shop", ColumnType.CATEGORICAL, 3, categories=("a", "b"), distinct_count=2)
    assert refused(data(DAY, shop, SALES))[0] == "forecast.series_columns[0]"
    field, words = refused(data(time("day", 5), SHOP, SALES))
    assert field == "forecast.time_column" and "5 rows" in words


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"targets": ["shop"]}, "targets[0]"),
        ({"targets": ["sales", "price"]}, "targets"),
        ({"metric": "r2"}, "metric"),
        ({"metric": "roc_auc"}, "metric"),
        ({"families": ["random_forest"]}, "families[0]"),
        ({"weight_column": "price"}, "weight_column"),
        ({"group_column": "shop"}, "group_column"),
        ({"row_latency": {"seconds": 1}}, "row_latency"),
        ({"model_bytes": 1000}, "model_bytes"),
        ({"champion": "models/m/versions/1"}, "champion"),
        ({"left_out": ["day"]}, "left_out[0]"),
        ({"left_out": ["cost"]}, "left_out[0]"),
    ],
)
def test_what_does_not_go_with_forecasts_is_refused(spec: dict[str, Any], field: str) -> None:
    assert refused(**spec)[0] == field


def test_forecasts_go_on_from_forecasts_alone() -> None:
    """Candidates of tables are of other families; with all else equal nothing is fitted again."""
    specification = resolve().specification
    run = tuner_pb2.TuningRun(
        name="tuningRuns/f",
        spec=specification_to_proto(specification),
        model_version="models/shops/versions/1",
    )
    check_continued(resolve(continue_from=run.name).specification, run)
    kind = tuner_pb2.PROBLEM_KIND_REGRESSION
    table = resolve(forecast=None, kind=kind).specification
    with pytest.raises(InvalidFieldError, match="search for forecasts"):
        check_continued(table, run)
    run.spec.CopyFrom(specification_to_proto(table))
    with pytest.raises(InvalidFieldError, match="search in tables"):
        check_continued(specification, run)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"families": ["ets"]}, True),
        ({"metric": "mae"}, False),
        ({"seed": 1}, False),
        ({"forecast": {"horizon": 8}}, False),
        ({"forecast": {"horizon": 7, "known_columns": ["price"]}}, False),
    ],
)
def test_trials_are_taken_over_where_they_would_say_the_same(
    change: dict[str, Any], is_same: bool
) -> None:
    assert has_same_trials(resolve(**change).specification, resolve().specification) is is_same

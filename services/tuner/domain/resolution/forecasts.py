"""A search for forecasts against its data: time, series, horizon, and what goes with them."""

from collections.abc import Sequence

from common.data.schema import LABEL_TYPES, Column, ColumnType, Task, TimeSeries
from common.scoring.kinds import ProblemKind
from services.tuner.domain.resolution.data import TuningData, refused, value_count
from services.tuner.domain.resolution.targets import resolved_targets, targets_of
from services.tuner.domain.specification import ForecastSpecification, TuningSpecification

_SERIES_TYPES = LABEL_TYPES | {ColumnType.NUMERIC, ColumnType.TEXT}
_KNOWN_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_VECTORS = frozenset({ColumnType.IMAGE, ColumnType.EMBEDDING})
_LEAST_BEFORE = 4
_NOT_FOR_FORECASTS = {
    "costs": "decisions have costs in problems of classes",
    "weight_column": "all steps of a forecast count alike",
    "group_column": "forecasts are judged on what came later; name series in `series_columns`",
    "row_latency": "forecasts are made for a whole series at once",
    "model_bytes": "models keep the series that they go on from",
    "champion": "forecasts are not compared with other models",
    "outliers": "an outlier is part of the windows around it",
}


def wants_forecasts(specification: TuningSpecification, data: TuningData) -> bool:
    """Whether the future of series is to be found, as asked for or as the data are.

    Raises:
        InvalidFieldError: What to forecast is told of another kind of problem.
    """
    kind = specification.kind
    if specification.forecast is not None and kind not in (None, ProblemKind.FORECASTING):
        raise refused(
            "forecast", f"Is for FORECASTING, and `kind` is {kind.upper()}; leave one of them out."
        )
    if kind is not None or specification.forecast is not None:
        return kind in (None, ProblemKind.FORECASTING)
    own = targets_of(data.schema)
    return data.schema.task is Task.FORECASTING and specification.targets in ((), own)


def resolved_forecast(specification: TuningSpecification, data: TuningData) -> TuningSpecification:
    """Returns the specification with target, time, series and horizon decided.

    Args:
        specification: Of forecasts, see `wants_forecasts`.
        data: Its data.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    _check_fields(specification)
    target = _target(specification, data)
    asked = specification.forecast or ForecastSpecification()
    if asked.horizon is None:
        raise refused(
            "forecast.horizon",
            "Is required: the number of steps to forecast. To predict the target from the other "
            "columns of its row instead, set `kind` to REGRESSION.",
            "HORIZON_REQUIRED",
        )
    time = _time_column(asked, data)
    taken = {target.name: "the target", time: "the time"}
    series = _series_columns(asked, data, taken)
    taken |= dict.fromkeys(series, "a series")
    known = _known_columns(asked, data, taken)
    _check_left_out(specification, data, taken | dict.fromkeys(known, "known"))
    _check_length(asked, data, time, series)
    forecast = asked.model_copy(
        update={"time_column": time, "series_columns": series, "known_columns": known}
    )
    return specification.model_copy(
        update={
            "kind": ProblemKind.FORECASTING,
            "targets": (target.name,),
            "forecast": forecast,
        }
    )


def forecast_columns(specification: TuningSpecification, data: TuningData) -> list[Column]:
    """Returns the columns that forecasts are made of: target, time, series and all others.

    Args:
        specification: As `resolved_forecast` gives it.
        data: Its data.
    """
    return [
        each
        for each in data.schema.columns
        if each.name not in specification.left_out and each.type not in _VECTORS
    ]


def _check_fields(specification: TuningSpecification) -> None:
    for field, reason in _NOT_FOR_FORECASTS.items():
        if getattr(specification, field, None):
            raise refused(field, f"Does not go with forecasts: {reason}; leave it out.")


def _target(specification: TuningSpecification, data: TuningData) -> Column:
    targets = resolved_targets(specification, data)
    if len(targets) > 1:
        raise refused("targets", f"There are {len(targets)}, and forecasts are of one; name it.")
    [target] = targets
    if target.type is not ColumnType.NUMERIC:
        raise refused(
            "targets" if not specification.targets else "targets[0]",
            f"`{target.name}` is {target.type}, and forecasts are of numbers; choose another.",
        )
    return target


def _time_column(asked: ForecastSpecification, data: TuningData) -> str:
    field = "forecast.time_column"
    name = asked.time_column or _usual_time(data)
    column = data.column(name, field)
    is_counted = column.type is ColumnType.NUMERIC and column.numeric is not None
    if column.type is not ColumnType.TIMESTAMP and not is_counted:
        raise refused(
            field, f"`{name}` is {column.type}; name a timestamp, or a whole number of steps."
        )
    if column.missing_count:
        raise refused(
            field, f"`{name}` has no value in {column.missing_count:,} rows; fill them in."
        )
    told = column.numeric
    if told is not None and not all(each.is_integer() for each in (told.min, told.max)):
        raise refused(
            field,
            f"`{name}` holds fractions, and steps are whole numbers; choose another column.",
        )
    return name


def _usual_time(data: TuningData) -> str:
    own = data.schema.time_series
    if own is not None:
        return own.time_column
    if data.temporal_column:
        return data.temporal_column
    times = [each.name for each in data.schema.columns if each.type is ColumnType.TIMESTAMP]
    if len(times) == 1:
        return times[0]
    there = f"there are {', '.join(f'`{each}`' for each in times)}" if times else "there is none"
    raise refused(
        "forecast.time_column",
        f"Name the column with the time of each row; of timestamps {there}.",
        "TIME_COLUMN_REQUIRED",
    )


def _series_columns(
    asked: ForecastSpecification, data: TuningData, taken: dict[str, str]
) -> tuple[str, ...]:
    names = asked.series_columns or _usual_series(data.schema.time_series)
    for place, name in enumerate(names):
        field = f"forecast.series_columns[{place}]"
        column = data.column(name, field)
        if name in taken or name in names[:place]:
            what = taken.get(name, "named twice")
            raise refused(field, f"`{name}` is {what}; name another column.")
        if column.type not in _SERIES_TYPES:
            raise refused(
                field, f"`{name}` is {column.type}, which names no series; choose another column."
            )
        if column.missing_count:
            raise refused(
                field, f"`{name}` has no value in {column.missing_count:,} rows; fill them in."
            )
    return tuple(names)


def _usual_series(own: TimeSeries | None) -> tuple[str, ...]:
    return (own.series_column,) if own is not None and own.series_column else ()


def _known_columns(
    asked: ForecastSpecification, data: TuningData, taken: dict[str, str]
) -> tuple[str, ...]:
    for place, name in enumerate(asked.known_columns):
        field = f"forecast.known_columns[{place}]"
        column = data.column(name, field)
        if name in taken or name in asked.known_columns[:place]:
            what = taken.get(name, "named twice")
            raise refused(field, f"`{name}` is {what}; name another column.")
        if column.type not in _KNOWN_TYPES:
            raise refused(
                field, f"`{name}` is {column.type}; name numbers, categories or booleans."
            )
    return asked.known_columns


def _check_left_out(
    specification: TuningSpecification, data: TuningData, taken: dict[str, str]
) -> None:
    for place, name in enumerate(specification.left_out):
        field = f"left_out[{place}]"
        data.column(name, field)
        if name in taken:
            raise refused(field, f"`{name}` is {taken[name]}, and cannot be left out.")


def _check_length(
    forecast: ForecastSpecification, data: TuningData, time: str, series: Sequence[str]
) -> None:
    """Checks the horizon against the longest series that there can be."""
    horizon = forecast.horizon or 0
    others = max((value_count(data.schema.column(each)) for each in series), default=1) - 1
    has_test = data.temporal_column == time and data.counts.test > 0
    rows = (data.row_count if has_test else data.counts.total - horizon) - others
    if rows >= 2 * horizon + _LEAST_BEFORE:
        return
    total = data.row_count if has_test else data.counts.total
    most = (total - others - _LEAST_BEFORE) // (2 if has_test else 3)
    raise refused(
        "forecast.horizon",
        f"{horizon:,} steps are too many: a series has at most {max(rows, 0):,} rows to learn "
        f"from, and each way to forecast is tried on the last {horizon:,} of these. Forecast at "
        f"most {max(most, 0):,} steps, or add rows.",
        "HORIZON_TOO_LONG",
    )

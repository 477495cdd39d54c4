"""A forecast against its data: columns, horizon, window and season. Needs the schema only."""

from common.data.schema import (
    LABEL_TYPES,
    Column,
    ColumnType,
    KnownDataset,
    Schema,
    SplitCounts,
    require_column,
)
from common.networks.specification import Specification
from services.trainer.domain.forecasts.calendar import usual_horizon, usual_seasons
from services.trainer.domain.forecasts.specification import Forecast, passes
from services.trainer.domain.specification import FIELD, TrainingSpecification, refused

_SERIES_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_NOT_FOR_FORECASTS = {
    "features": "columns beside the target are `forecast.past_columns` or `forecast.known_columns`",
    "weight_column": "all steps of a forecast count alike",
    "outliers": "an outlier is part of the windows around it",
}


def resolved_forecast(specification: TrainingSpecification, data: KnownDataset) -> Forecast:
    """Fills in columns, horizon, window and season.

    Args:
        specification: Of a forecast.
        data: Its data.

    Raises:
        InvalidFieldError: A column is missing, or the series are too short; names the cure.
    """
    for field, reason in _NOT_FOR_FORECASTS.items():
        if getattr(specification, field):
            raise refused(field, f"Does not go with forecasts: {reason}; leave it out.")
    asked, schema = specification.forecast or Forecast(), data.schema
    time = _time_column(asked, schema)
    series = _series_columns(asked, schema, time)
    taken = specification.target or schema.target
    for field, names in (("time_column", (time,)), ("series_columns", series)):
        if taken in names:
            raise refused(f"forecast.{field}", f"`{taken}` is the target; name another column.")
    length = _Length.of(schema, data.counts, series)
    _check_covariates(asked, schema, {taken: "the target", time: "the time"}, series)
    found = _filled(asked, schema, length)
    _check_length(found, length)
    return found.model_copy(update={"time_column": time, "series_columns": series})


def window_counts(forecast: Forecast, data: KnownDataset) -> SplitCounts:
    """Returns about how many windows an epoch, a validation and the test have.

    Args:
        forecast: Resolved.
        data: Its data.
    """
    assert forecast.horizon is not None and forecast.window is not None
    length = _Length.of(data.schema, data.counts, forecast.series_columns)
    around = forecast.window + forecast.horizon - 1
    held_out = max(data.counts.validation // length.series, forecast.horizon)
    training = max(length.mean - held_out - around, 1) * length.series
    test = max(data.counts.test // length.series - forecast.horizon + 1, 0) * length.series
    return SplitCounts(
        train=training * passes(training),
        validation=(held_out - forecast.horizon + 1) * length.series,
        test=test,
    )


class _Length(Specification):
    """How long series are.

    Attributes:
        series: About how many there are.
        mean: Rows before the test part, in the mean.
        longest: Most rows that one of them can have.
    """

    series: int
    mean: int
    longest: int

    @classmethod
    def of(cls, schema: Schema, counts: SplitCounts, columns: tuple[str, ...]) -> "_Length":
        known = [max(_value_count(schema.column(name)), 1) for name in columns]
        count = max(known, default=1)
        own = schema.time_series
        if own is not None and (own.series_column,) == columns and own.series_count:
            count = own.series_count
        return cls(
            series=count,
            mean=(counts.train + counts.validation) // count,
            longest=counts.total - counts.test - (max(known, default=1) - 1),
        )


def _value_count(column: Column) -> int:
    return len(column.categories) or column.distinct_count


def _time_column(asked: Forecast, schema: Schema) -> str:
    field = "forecast.time_column"
    name = asked.time_column or _usual_time(schema)
    column = require_column(schema, name, f"{FIELD}.{field}")
    if column.type not in (ColumnType.TIMESTAMP, ColumnType.NUMERIC):
        raise refused(field, f"`{name}` is {column.type}; name a timestamp, or a number of steps.")
    if column.missing_count:
        raise refused(field, f"`{name}` has no value in {column.missing_count} rows; fill them in.")
    return name


def _usual_time(schema: Schema) -> str:
    if schema.time_series is not None:
        return schema.time_series.time_column
    times = [each.name for each in schema.columns if each.type is ColumnType.TIMESTAMP]
    if len(times) == 1:
        return times[0]
    there = f"there are {', '.join(f'`{each}`' for each in times)}" if times else "there is none"
    raise refused(
        "forecast.time_column",
        f"Name the column with the time of each row; of timestamps {there}.",
        "TIME_COLUMN_REQUIRED",
    )


def _series_columns(asked: Forecast, schema: Schema, time: str) -> tuple[str, ...]:
    own = schema.time_series
    usual = (own.series_column,) if own is not None and own.series_column else ()
    names = asked.series_columns or usual
    for place, name in enumerate(names):
        field = f"forecast.series_columns[{place}]"
        column = require_column(schema, name, f"{FIELD}.{field}")
        if name == time or name in names[:place]:
            raise refused(field, f"`{name}` is named twice; name another column.")
        if column.type not in _SERIES_TYPES:
            raise refused(
                field,
                f"`{name}` is {column.type}; series are named by categories, booleans or numbers.",
            )
        if column.missing_count:
            raise refused(
                field, f"`{name}` has no value in {column.missing_count} rows; fill them in."
            )
    return tuple(names)


def _check_covariates(
    asked: Forecast, schema: Schema, taken: dict[str, str], series: tuple[str, ...]
) -> None:
    """Checks columns beside the target."""
    taken = taken | dict.fromkeys(series, "the name of a series")
    for kind in ("past_columns", "known_columns"):
        for place, name in enumerate(getattr(asked, kind)):
            field = f"forecast.{kind}[{place}]"
            column = require_column(schema, name, f"{FIELD}.{field}")
            if name in taken:
                raise refused(field, f"`{name}` is {taken[name]} already; leave it out.")
            taken[name] = f"in `{kind}`"
            if column.type not in (ColumnType.NUMERIC, ColumnType.BOOLEAN):
                raise refused(
                    field,
                    f"`{name}` is {column.type}, and columns beside a series are numbers or "
                    "booleans; write a column of 0 and 1 for each value, or leave it out.",
                    "COLUMN_TYPE_NOT_SUPPORTED",
                )
            if column.type is ColumnType.NUMERIC and column.numeric is None:
                raise refused(field, f"`{name}` has no value at all; leave it out.")


def _filled(asked: Forecast, schema: Schema, length: _Length) -> Forecast:
    frequency = schema.time_series.frequency if schema.time_series is not None else ""
    seasons = usual_seasons(frequency)
    room = length.mean
    horizon = asked.horizon or max(1, min(usual_horizon(frequency), room // 8))
    season = asked.season or next((each for each in seasons if 3 * each <= room), 1)
    window = asked.window
    if window is None:
        longest = max((each for each in (season, *seasons) if 4 * each <= room), default=season)
        wanted = max(2 * longest, 3 * horizon)
        # Half of what there is, so that there are windows to learn from.
        window = max(min(wanted, room // 2 - horizon), season, 1)
    return asked.model_copy(update={"horizon": horizon, "season": season, "window": window})


def _check_length(forecast: Forecast, length: _Length) -> None:
    """Checks that the longest series has room for a window to learn from and one to validate."""
    assert forecast.horizon is not None and forecast.window is not None
    assert forecast.season is not None
    if forecast.season > forecast.window:
        raise refused(
            "forecast.window",
            f"{forecast.window} values are less than a season of {forecast.season}, which "
            "forecasts go on from; take a window of a season at least.",
        )
    if forecast.window + 2 * forecast.horizon <= length.longest:
        return
    most = (length.longest - forecast.window) // 2
    cure = f"forecast at most {most} steps" if most > 0 else "take a shorter window"
    raise refused(
        "forecast.horizon" if most > 0 else "forecast.window",
        f"A series has at most {max(length.longest, 0)} rows before the test part, and a window of "
        f"{forecast.window} with twice {forecast.horizon} steps is longer; {cure}, or add rows.",
        "SERIES_TOO_SHORT",
    )

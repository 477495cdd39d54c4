"""Series cut into windows: which values are looked at, which are forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.schema import Part
from common.data.split import Parts
from common.errors import InvalidFieldError
from common.scoring.series import Mase
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.specification import FIELD

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Values = npt.NDArray[np.generic]

_USUAL, _GAP = 0.95, 3.5
"""Times further apart than this multiple of that quantile of all distances have a gap between: more
than two steps are missing."""


@dataclass(frozen=True)
class Windows:
    """All series one after the other, each in order of time.

    A window is known by the place of the first value that is forecast from it.

    Attributes:
        order: Numbers of the rows in the data, shape (rows,).
        values: Of all series, shape (rows,).
        scales: What errors around each value are divided by in MASE, shape (rows,).
        training: Windows whose forecasts end before the validation part.
        validation: Windows whose forecasts lie in the validation part.
        test: Windows whose forecasts lie in the test part.
    """

    order: Places
    values: Floats
    scales: Floats
    training: Places
    validation: Places
    test: Places


@dataclass(frozen=True)
class _Ordered:
    """Rows in order of series and time; `begin` and `end` are places for each row's series."""

    order: Places
    parts: Parts
    series: Places
    begin: Places
    end: Places
    gaps: Places


def cut(
    values: Floats,
    times: Values,
    names: Sequence[Values],
    parts: Parts,
    forecast: Forecast,
) -> Windows:
    """Cuts series into windows.

    The last horizon before the test part, or the validation part where that is longer, is kept for
    validation: no training window reaches into it. Where the split is not in order of time, its
    parts do not count: the last horizon of each series is the test part. Windows across a gap in
    time are left out, but for one or two steps that are missing.

    Args:
        values: Of the target, shape (rows,).
        times: Of the rows, anything that has an order and distances.
        names: Columns that name the series of a row; none where there is one series.
        parts: Part of the split of each row.
        forecast: Resolved.

    Raises:
        InvalidFieldError: A series has a time twice, or all are too short.
    """
    assert forecast.horizon is not None and forecast.window is not None
    assert forecast.season is not None
    rows = _ordered(times, names, parts)
    values = values[rows.order]
    validation, test = _boundaries(rows, forecast.horizon)
    places = np.arange(len(values))
    last = places + forecast.horizon
    first = places - forecast.window
    inside = (first >= rows.begin) & (last <= rows.end)
    inside[inside] &= rows.gaps[last[inside] - 1] == rows.gaps[first[inside]]
    training = np.flatnonzero(inside & (last <= validation))
    validating = np.flatnonzero(inside & (places >= validation) & (last <= test))
    if len(training) == 0 or len(validating) == 0:
        raise _too_short(forecast, int((test - rows.begin).max(initial=0)))
    return Windows(
        order=rows.order,
        values=values,
        scales=_scales(values, rows, validation, forecast.season),
        training=training,
        validation=validating,
        test=np.flatnonzero(inside & (places >= test)),
    )


def training_rows(
    times: Values, names: Sequence[Values], parts: Parts, forecast: Forecast
) -> npt.NDArray[np.bool_]:
    """Returns which rows come before the validation part; see `cut` for the arguments."""
    assert forecast.horizon is not None
    rows = _ordered(times, names, parts)
    validation, _ = _boundaries(rows, forecast.horizon)
    trains = np.zeros(len(times), np.bool_)
    trains[rows.order] = np.arange(len(times)) < validation
    return trains


def _ordered(times: Values, names: Sequence[Values], parts: Parts) -> _Ordered:
    series = np.zeros(len(times), np.int64)
    for column in names:
        codes = np.unique(column, return_inverse=True)[1]
        series = series * (int(codes.max(initial=0)) + 1) + codes
    series = np.unique(series, return_inverse=True)[1]
    order = np.lexsort((times, series))
    series, moments = series[order], times[order].astype(np.float64)
    is_first = np.ones(len(series), np.bool_)
    is_first[1:] = series[1:] != series[:-1]
    distance = np.diff(moments, prepend=0.0)[~is_first]
    if len(distance) and distance.min() <= 0:
        raise InvalidFieldError(
            f"{FIELD}.forecast.series_columns",
            "A series has two rows of the same time; name the columns that tell series apart, or "
            "sum up the rows of a time.",
            reason="REPEATED_TIME",
        )
    gaps = np.zeros(len(series), np.int64)
    if len(distance):
        gaps[~is_first] = distance > _GAP * np.quantile(distance, _USUAL)
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(series))
    lengths = ends - starts
    return _Ordered(
        order=order,
        parts=parts[order],
        series=series,
        begin=np.repeat(starts, lengths),
        end=np.repeat(ends, lengths),
        gaps=np.cumsum(gaps),
    )


def _boundaries(rows: _Ordered, horizon: int) -> tuple[Places, Places]:
    """Returns where validation and test part begin in each row's series."""
    order = np.array([Part.TRAIN, Part.VALIDATION, Part.TEST])
    place = np.argsort(order)[rows.parts]
    is_within = rows.series[1:] == rows.series[:-1]
    if (np.diff(place)[is_within] < 0).any():
        test = rows.end - horizon
        return test - horizon, test
    test = rows.end - _counted(rows, rows.parts == Part.TEST)
    validation = test - _counted(rows, rows.parts == Part.VALIDATION)
    return np.minimum(validation, test - horizon), test


def _counted(rows: _Ordered, chosen: npt.NDArray[np.bool_]) -> Places:
    """Returns for each row how many rows of its series are chosen."""
    counts: Places = np.bincount(rows.series, chosen)[rows.series].astype(np.int64)
    return counts


def _scales(values: Floats, rows: _Ordered, validation: Places, season: int) -> Floats:
    """Returns the mean change from season to season before the validation part, by row."""
    found = np.ones(len(values))
    metric = Mase(season)
    for start in np.unique(rows.begin):
        known = values[start : max(int(validation[start]), int(start) + 1)]
        found[start : rows.end[start]] = metric.scale(known)
    return found


def _too_short(forecast: Forecast, longest: int) -> InvalidFieldError:
    assert forecast.horizon is not None and forecast.window is not None
    least = forecast.window + 2 * forecast.horizon
    return InvalidFieldError(
        f"{FIELD}.forecast.window",
        f"No series has {least} rows in a row without a gap in time before its test part, which a "
        f"window of {forecast.window} and twice a horizon of {forecast.horizon} need; the longest "
        f"has {longest} rows. Take a shorter window or horizon, or add rows.",
        reason="SERIES_TOO_SHORT",
    )

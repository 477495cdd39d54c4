"""Which regular times a panel has."""

from collections.abc import Sequence

import numpy as np

from common.errors import InvalidFieldError
from common.models.estimators.forecasting.grid import (
    BUSINESS_DAYS,
    COUNT,
    MONTHS,
    SECONDS,
    Floats,
    Grid,
)

_DAY = 86_400.0
_MONTH = 28 * _DAY
_OFF_STEP, _FEW_OFF = 0.1, 0.05
_FRIDAY = 4
_WEEK = 7


def grid_of(times: Sequence[Floats], is_count: bool, field: str) -> Grid:
    """Returns the grid that the times of all series lie on.

    Args:
        times: Of each series, ascending, each once.
        is_count: Whether they are whole numbers instead of seconds since 1970.
        field: Path of the column of times in the request.

    Raises:
        InvalidFieldError: There is no regular distance between them.
    """
    every = np.unique(np.concatenate(times))
    gaps = np.concatenate([np.diff(each) for each in times])
    if not len(gaps):
        raise _bad(field, "each series has a single row, so that steps cannot be told")
    size = float(_usual(gaps))
    if is_count:
        return _checked(Grid(COUNT, size, float(every[0])), times, field)
    monthly = _months(every) if size >= _MONTH else None
    if monthly is not None:
        return monthly
    daily = _business_days(every, size)
    if daily is not None:
        return daily
    return _checked(Grid(SECONDS, size, _origin(times, size)), times, field)


def _usual(gaps: Floats) -> float:
    """Returns the most frequent gap."""
    found, counts = np.unique(np.rint(gaps * 1e3) / 1e3, return_counts=True)
    return float(found[counts.argmax()])


def _origin(times: Sequence[Floats], size: float) -> float:
    """Returns a time so that most times lie at whole steps from it."""
    phases = np.concatenate(times) % size
    found, counts = np.unique(np.rint(phases * 1e3) / 1e3, return_counts=True)
    first = min(float(each[0]) for each in times)
    return first - first % size + float(found[counts.argmax()])


def _checked(grid: Grid, times: Sequence[Floats], field: str) -> Grid:
    off = np.concatenate([_off(grid, each) for each in times])
    if (off > _OFF_STEP).mean() <= _FEW_OFF:
        return grid
    raise _bad(
        field,
        f"times have no regular distance: {_words(grid)} apart most often, but {off.mean():.0%} of "
        "a step off in the mean; sum up the rows to days, weeks or months first",
    )


def _off(grid: Grid, times: Floats) -> Floats:
    places = grid.places(times)
    return np.abs(places - np.rint(places))


def _months(every: Floats) -> Grid | None:
    """Returns a grid of months where all times have the same place in theirs."""
    months = _dates(every).astype("datetime64[M]")
    begin = months.astype("datetime64[D]").astype(np.int64) * _DAY
    end = (months + 1).astype("datetime64[D]").astype(np.int64) * _DAY
    numbers = np.unique(months.astype(np.int64))
    if len(numbers) < len(every):
        return None
    size = int(np.gcd.reduce(np.diff(numbers))) if len(numbers) > 1 else 1
    origin = float(numbers[0])
    for offsets, is_from_end in ((every - begin, False), (end - every, True)):
        if np.ptp(offsets) < 1:
            return Grid(MONTHS, size, origin, float(offsets[0]), is_from_end)
    return None


def _business_days(every: Floats, size: float) -> Grid | None:
    """Returns a grid of working days where there are all of these and no others."""
    if size != _DAY or np.ptp(every % _DAY) > 0:
        return None
    dates = _dates(every)
    weekdays = (dates.astype(np.int64) + 3) % _WEEK
    if len(every) < _WEEK or set(weekdays.tolist()) != set(range(_FRIDAY + 1)):
        return None
    first = float(dates[0].astype(np.int64) * _DAY)
    return Grid(BUSINESS_DAYS, 1, first, float(every[0] % _DAY))


def _dates(seconds: Floats) -> "np.ndarray":
    return np.floor(seconds / _DAY).astype(np.int64).astype("datetime64[D]")


def _words(grid: Grid) -> str:
    return f"{grid.size:g}" if grid.unit == COUNT else f"{grid.size:g} s"


def _bad(field: str, description: str) -> InvalidFieldError:
    return InvalidFieldError(field, description, reason="BAD_SERIES")

"""After how many steps patterns come again."""

from collections.abc import Sequence

import numpy as np

from common.models.estimators.forecasting.grid import (
    BUSINESS_DAYS,
    COUNT,
    MONTHS,
    SECONDS,
    Floats,
    Grid,
)

_HOUR, _DAY, _WEEK, _YEAR = 3_600.0, 86_400.0, 604_800.0, 365.25 * 86_400.0
_MOST, _LONGEST = 3, 10_000
_CYCLES, _STEPS_OF_HOUR = 2.0, 4
_MOST_LOOKED_AT = 50
_LEAST_PEAK = 0.3
_TIMES, _LEAST_STRENGTH, _GOOD_PART = 2.0, 0.02, 1 / 3


def seasons_of(grid: Grid, values: Sequence[Floats]) -> tuple[float, ...]:
    """Returns the lengths of seasons, the main one first; the calendar's, or what data show.

    Args:
        grid: Of the times.
        values: Of the series, nothing missing.
    """
    longest = sorted(len(each) for each in values)[len(values) // 2]
    fitting = [each for each in _usual(grid) if round(each) >= 2 and _CYCLES * each <= longest]
    seen = list(values[:: max(len(values) // _MOST_LOOKED_AT, 1)])
    if not fitting and grid.unit == COUNT:
        return _from_data(seen)
    return tuple(_by_strength(fitting, seen)[:_MOST])


def _usual(grid: Grid) -> list[float]:
    """Returns the calendar's cycles in steps, ascending."""
    if grid.unit == MONTHS:
        return [12 / grid.size]
    if grid.unit == BUSINESS_DAYS:
        return [5.0, 260.9]
    if grid.unit == SECONDS:
        # Of an hour two or three steps are too few to be a pattern.
        hour = [_HOUR / grid.size] if _HOUR / grid.size >= _STEPS_OF_HOUR else []
        longer = (each / grid.size for each in (_DAY, _WEEK, _YEAR))
        return [*hour, *(each for each in longer if 2 <= each <= _LONGEST)]
    return []


def _by_strength(seasons: list[float], values: Sequence[Floats]) -> list[float]:
    """Returns those that are seen, the shortest first; of none the shortest."""
    strong = [each for each in seasons if _is_seen(each, values)]
    return strong or seasons[:1]


def _is_seen(season: float, values: Sequence[Floats]) -> bool:
    """Whether a good part of the series has steps of the season that differ beyond chance."""
    able = [each for each in values if len(each) >= _CYCLES * season]
    found = [_strength(each, round(season)) > _chance(season, len(each)) for each in able]
    return bool(found) and float(np.mean(found)) >= _GOOD_PART


def _chance(season: float, count: int) -> float:
    return _TIMES * season / count + _LEAST_STRENGTH


def _strength(values: Floats, season: int) -> float:
    """Returns the share of the variance that the mean of each step of the season explains."""
    near = _detrended(values, season)
    size = float(near.var())
    if size == 0:
        return 0.0
    phases = np.arange(len(near)) % season
    counts = np.bincount(phases, minlength=season)
    means = np.bincount(phases, near, season) / np.maximum(counts, 1)
    return float((means[phases]).var()) / size


def _detrended(values: Floats, width: int) -> Floats:
    """Returns values off a moving mean as wide as a season."""
    half = max(width // 2, 1)
    sums = np.cumsum(np.pad(values, (half + 1, half), mode="edge"))
    return np.asarray(values - (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1))


def _from_data(values: Sequence[Floats]) -> tuple[float, ...]:
    """Returns the highest peak of the autocorrelation that most series share; none if low."""
    longest = min(max(len(each) for each in values) // 3, 400)
    total, count = np.zeros(longest + 1), 0
    for each in values:
        if len(each) >= 3 * longest:
            total, count = total + _autocorrelation(each, longest), count + 1
    if not count or longest < 3:
        return ()
    mean = total / count
    peaks = [
        lag
        for lag in range(2, longest)
        if mean[lag] >= _LEAST_PEAK and mean[lag] >= mean[lag - 1] and mean[lag] >= mean[lag + 1]
    ]
    if not peaks:
        return ()
    highest = max(mean[lag] for lag in peaks)
    # Its multiples are as high: the first one of about that height is it.
    return (float(next(lag for lag in peaks if mean[lag] >= 0.9 * highest)),)


def _autocorrelation(values: Floats, longest: int) -> Floats:
    line = np.polyfit(np.arange(len(values)), values, 1)
    near = values - np.polyval(line, np.arange(len(values)))
    size = float((near**2).sum()) or 1.0
    return np.array(
        [1.0, *((near[lag:] * near[:-lag]).sum() / size for lag in range(1, longest + 1))]
    )

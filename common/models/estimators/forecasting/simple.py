"""What anybody would say first of how a series goes on."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from common.models.estimators.forecasting.grid import Floats

NAIVE, SEASONAL_NAIVE, DRIFT, SEASONAL_DRIFT, MEAN, SEASONAL_MEAN = (
    "naive",
    "seasonal_naive",
    "drift",
    "seasonal_drift",
    "mean",
    "seasonal_mean",
)

_CYCLES = 4


def naive(values: Floats, _: int, horizon: int) -> Floats:
    """Returns the last value again and again."""
    return np.full(horizon, values[-1])


def seasonal_naive(values: Floats, season: int, horizon: int) -> Floats:
    """Returns the last season again and again; of less than one the last value."""
    if len(values) < season:
        return naive(values, season, horizon)
    return np.resize(values[-season:], horizon)


def drift(values: Floats, _: int, horizon: int) -> Floats:
    """Returns the line through the first and the last value."""
    slope = (values[-1] - values[0]) / max(len(values) - 1, 1)
    return np.asarray(values[-1] + slope * np.arange(1, horizon + 1))


def seasonal_drift(values: Floats, season: int, horizon: int) -> Floats:
    """Returns the last season, with the mean change from season to season."""
    told = seasonal_naive(values, season, horizon)
    if len(values) <= season:
        return told
    change = (values[season:] - values[:-season]).mean()
    return np.asarray(told + change * (1 + np.arange(horizon) // season))


def mean(values: Floats, season: int, horizon: int) -> Floats:
    """Returns the mean of the last few seasons."""
    return np.full(horizon, values[-_CYCLES * season :].mean())


def seasonal_mean(values: Floats, season: int, horizon: int) -> Floats:
    """Returns the mean of the last few seasons, step by step."""
    cycles = min(len(values) // season, _CYCLES)
    if not cycles:
        return mean(values, season, horizon)
    last = values[-cycles * season :].reshape(cycles, season)
    return np.resize(last.mean(axis=0), horizon)


SIMPLE: Mapping[str, Callable[[Floats, int, int], Floats]] = MappingProxyType(
    {
        NAIVE: naive,
        SEASONAL_NAIVE: seasonal_naive,
        DRIFT: drift,
        SEASONAL_DRIFT: seasonal_drift,
        MEAN: mean,
        SEASONAL_MEAN: seasonal_mean,
    }
)
"""By name: each takes values, steps in a season and the horizon."""

"""Single models, as their makers' defaults have them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from statsforecast import models

from tests.benchmarks.tuner.forecast_sets import ForecastSet

Forecasts = Mapping[str, npt.NDArray[np.float64]]

_LONGEST_SEASON = 24
_MANY = 24


def _told_by(made: Callable[[int], Any]) -> Callable[[ForecastSet], Forecasts]:
    def told(each: ForecastSet) -> Forecasts:
        model = made(each.season)
        return {
            name: np.asarray(model.forecast(values, each.horizon)["mean"], np.float64)
            for name, values in each.known.items()
        }

    return told


def _arima(season: int) -> Any:
    if season > _LONGEST_SEASON:
        return models.AutoARIMA(season_length=1)
    return models.AutoARIMA(season_length=season, approximation=season >= _MANY)


SINGLES: Mapping[str, Callable[[ForecastSet], Forecasts]] = {
    "seasonal naive": _told_by(models.SeasonalNaive),
    "AutoETS": _told_by(models.AutoETS),
    "AutoARIMA": _told_by(_arima),
    "AutoTheta": _told_by(models.AutoTheta),
    "MSTL": _told_by(models.MSTL),
}
"""By name: each forecasts a set."""

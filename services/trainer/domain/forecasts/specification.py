"""How series go on: what a run is told; what is left open is filled in by `resolution`."""

import math

from pydantic import Field

from common.models.preprocessing import Preprocessing, SeriesColumn, Target
from common.networks.specification import Specification

LEAST_WINDOWS = 4_096
"""An epoch has at least so many: those of short series come several times."""


class Forecast(Specification):
    """A `ForecastSpec`."""

    time_column: str = ""
    series_columns: tuple[str, ...] = Field((), max_length=16)
    horizon: int | None = Field(None, ge=1, le=10_000)
    window: int | None = Field(None, ge=1, le=100_000)
    season: int | None = Field(None, ge=1, le=100_000)


def forecast_preprocessing(target: str, forecast: Forecast) -> Preprocessing:
    """Returns what turns windows into inputs: there is nothing to fit.

    Args:
        target: Name of the column that is forecast.
        forecast: Resolved.
    """
    assert forecast.horizon is not None and forecast.window is not None
    return Preprocessing(
        series=SeriesColumn(name=target, window=forecast.window, season=forecast.season or 1),
        target=Target(name=target, task="forecasting", horizon=forecast.horizon),
    )


def passes(windows: int) -> int:
    """Returns how often each training window comes in an epoch."""
    return math.ceil(LEAST_WINDOWS / windows)

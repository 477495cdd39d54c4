"""How series go on: what a run is told; what is left open is filled in by `resolution`."""

import math
from collections.abc import Mapping

from pydantic import Field

from common.models.preprocessing import NumericColumn, Preprocessing, SeriesColumn, Target
from common.networks.specification import NetworkInput, Specification

LEAST_WINDOWS = 4_096
"""An epoch has at least so many: those of short series come several times."""


class Forecast(Specification):
    """A `ForecastSpec`."""

    time_column: str = ""
    series_columns: tuple[str, ...] = Field((), max_length=16)
    horizon: int | None = Field(None, ge=1, le=10_000)
    window: int | None = Field(None, ge=1, le=100_000)
    season: int | None = Field(None, ge=1, le=100_000)
    past_columns: tuple[str, ...] = Field((), max_length=64)
    known_columns: tuple[str, ...] = Field((), max_length=64)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the columns beside the series."""
        return self.past_columns + self.known_columns

    @property
    def network_input(self) -> NetworkInput:
        """What a network takes in, once resolved."""
        return NetworkInput(
            window=self.window or 1,
            past_columns=len(self.past_columns),
            known_columns=len(self.known_columns),
            season=self.season or 1 if self.known_columns else 0,
        )


def forecast_preprocessing(
    target: str, forecast: Forecast, fitted: Mapping[str, NumericColumn]
) -> Preprocessing:
    """Returns what turns windows into inputs; of the target there is nothing to fit.

    Args:
        target: Name of the column that is forecast.
        forecast: Resolved.
        fitted: Scales of the columns beside it by name.
    """
    assert forecast.horizon is not None and forecast.window is not None
    return Preprocessing(
        series=SeriesColumn(
            name=target,
            window=forecast.window,
            season=forecast.season or 1,
            past=tuple(fitted[name] for name in forecast.past_columns),
            known=tuple(fitted[name] for name in forecast.known_columns),
        ),
        target=Target(name=target, task="forecasting", horizon=forecast.horizon),
    )


def passes(windows: int) -> int:
    """Returns how often each training window comes in an epoch."""
    return math.ceil(LEAST_WINDOWS / windows)

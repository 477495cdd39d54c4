"""One or many series with what else is known of their steps."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.data.schema import Column, ColumnType
from common.models.estimators.forecasting.columns import PanelColumns
from common.models.estimators.forecasting.grid import Floats, Grid
from common.models.estimators.forecasting.history import History, error_scale, filled
from services.tuner.domain.problem import Positions, Problem, ProblemKind

SERIES, STEP = "series", "step"
"""Features of a forecasting problem: position of the series, and step of a row."""


@dataclass(frozen=True, eq=False)
class Series:
    """One series.

    Attributes:
        label: A text for each of the columns that name series.
        start: Step of the first value, see `Grid`.
        values: One a step, NaN where missing; the first and the last one are known.
        covariates: (steps and those of the future that are known, columns), see `History`.
    """

    label: tuple[str, ...]
    start: int
    values: Floats
    covariates: Floats

    @property
    def title(self) -> str:
        """Its name for people; empty where there is one series."""
        return " ".join(self.label)


@dataclass(frozen=True, eq=False)
class Panel:
    """What is to be forecast.

    Attributes:
        names: Of the columns.
        grid: Of the times.
        series: At least one.
        horizon: Steps to forecast.
        season_lengths: Steps after which the pattern comes again, the main one first.
        long_seasons: The same with fractions, 52.18 of weeks for instance.
        notes: What was odd, one sentence each.
    """

    names: PanelColumns
    grid: Grid
    series: tuple[Series, ...]
    horizon: int
    season_lengths: tuple[int, ...]
    long_seasons: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def target(self) -> str:
        """Name of the column that is forecast."""
        return self.names.target

    @property
    def time(self) -> str:
        """Name of the column of times."""
        return self.names.time

    @property
    def series_columns(self) -> tuple[str, ...]:
        """Names of the columns that name series."""
        return self.names.series

    @property
    def known(self) -> frozenset[str]:
        """Names of covariates whose future is known."""
        return frozenset(each.name for each in self.names.covariates if each.is_known)

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """Names of the series."""
        return [each.label for each in self.series]

    @property
    def series_count(self) -> int:
        """Number of series."""
        return len(self.series)

    @property
    def row_count(self) -> int:
        """Number of values that are known."""
        return sum(int((~np.isnan(each.values)).sum()) for each in self.series)

    @property
    def season(self) -> int:
        """Steps in the main season, 1 without any."""
        return self.season_lengths[0] if self.season_lengths else 1

    def history(self, place: int, end: int) -> History:
        """Returns what is known of a series before a step, with covariates over the horizon.

        Args:
            place: Of the series.
            end: The step; at least one value lies before.
        """
        series = self.series[place]
        length = end - series.start
        values = filled(series.values[:length], self.season)
        table = np.full((length + self.horizon, series.covariates.shape[1]), np.nan)
        told = series.covariates[: len(table)]
        table[: len(told)] = told
        unknown = [n for n, each in enumerate(self.names.covariates) if not each.is_known]
        table[length:, unknown] = np.nan
        return History(series.start, values, table)

    def scales(self) -> Floats:
        """Returns what errors of each series are divided by, (series,); see `error_scale`."""
        whole = (filled(each.values, self.season) for each in self.series)
        return np.array([error_scale(each, self.season) for each in whole])


@dataclass(frozen=True)
class ForecastProblem(Problem):
    """A panel as trials take it: a row for each value that is known.

    Attributes:
        panel: The panel, whole whatever rows there are.
    """

    panel: Panel | None = None


def problem_of(panel: Panel, weights: npt.NDArray[np.float64] | None = None) -> ForecastProblem:
    """Returns the problem whose features are `SERIES` and `STEP`.

    Args:
        panel: The panel.
        weights: Of the series; all alike by default.
    """
    known = [np.flatnonzero(~np.isnan(each.values)) for each in panel.series]
    counts = [len(each) for each in known]
    steps = [rows + each.start for rows, each in zip(known, panel.series, strict=True)]
    places: Positions = np.repeat(np.arange(panel.series_count), counts)
    truth = [each.values[rows] for rows, each in zip(known, panel.series, strict=True)]
    features = pd.DataFrame(
        {SERIES: places.astype(np.float64), STEP: np.concatenate(steps).astype(np.float64)}
    )
    return ForecastProblem(
        kind=ProblemKind.REGRESSION,
        columns=(Column(SERIES, ColumnType.NUMERIC), Column(STEP, ColumnType.NUMERIC)),
        features=features,
        truth=np.concatenate(truth),
        outputs=(panel.target,),
        weights=None if weights is None else weights[places],
        panel=panel,
    )


def shortened(panel: Panel, steps: int) -> Panel:
    """Returns the panel without the last steps of each series; those that are too short go."""
    kept = []
    for each in panel.series:
        values = each.values[: max(len(each.values) - steps, 0)]
        known = np.flatnonzero(~np.isnan(values))
        if len(known):
            kept.append(replace(each, values=values[: known[-1] + 1]))
    return replace(panel, series=tuple(kept))

"""Steps of series as rows of numbers: what was known of them some steps before."""

from dataclasses import dataclass

import numpy as np

from common.models.estimators.forecasting.grid import Floats, Grid, Steps
from common.models.estimators.forecasting.history import History

_FEW_STEPS = 8
_LEAST_SHARE, _LEAST_SIZE = 0.1, 1e-9


@dataclass(frozen=True)
class LagTable:
    """Makes rows, one for a step of a series seen from an earlier one, its origin.

    Values are given by their distance from the level at the origin, in units of how much the
    series moves there, so that one model serves series of any size.

    Attributes:
        grid: Of the steps.
        seasons: Steps in each season, the main one first; empty for none.
        lags: How many of the last values.
        cycles: How many values at the same place of each season.
        is_from_season: Whether what is told is the distance from the value a season before
            instead of that from the level.
        columns: Covariates that are known of the future.
        past_columns: Covariates whose last known values count.
    """

    grid: Grid
    seasons: tuple[int, ...]
    lags: int
    cycles: int
    is_from_season: bool
    columns: tuple[int, ...] = ()
    past_columns: tuple[int, ...] = ()

    @property
    def season(self) -> int:
        """Steps in the main season, 1 without any."""
        return self.seasons[0] if self.seasons else 1

    @property
    def width(self) -> int:
        """Values that a level is made of."""
        return max(self.season, _FEW_STEPS)

    def frame_of(self, values: Floats, origins: Steps, ahead: Steps) -> tuple[Floats, Floats]:
        """Returns what is subtracted and what is divided by, (rows,) each."""
        level = _window_mean(values, origins, self.width)
        # Squares of what is far from 0 would leave nothing of the differences.
        near = values - np.median(values)
        size = np.maximum(
            _window_spread(near, origins, 2 * self.width),
            _LEAST_SHARE * _window_spread(near, origins, 16 * self.width),
        )
        size = np.maximum(size, _LEAST_SIZE * (1 + np.abs(level)))
        if not self.is_from_season:
            return level, size
        before = self._aligned(values, origins, ahead, self.season, 0)
        return np.where(np.isnan(before), level, before), size

    def rows(self, history: History, origins: Steps, ahead: Steps) -> Floats:
        """Returns the rows, (rows, columns), NaN for what is not known.

        Args:
            history: The series.
            origins: Positions of the last values that are known.
            ahead: How many steps later, from 1.
        """
        values = history.values
        level = _window_mean(values, origins, self.width)
        _, size = self.frame_of(values, origins, ahead)
        told = [_taken(values, origins - lag) for lag in range(self.lags)]
        for season in self.seasons:
            same = [self._aligned(values, origins, ahead, season, k) for k in range(self.cycles)]
            told += same
            told.append(_mean_known(same))
            told += [
                _taken(values, self._place(origins, ahead, season) + near, origins)
                for near in (-1, 1)
            ]
        for width in dict.fromkeys((3, self.width, 4 * self.width)):
            told.append(_window_mean(values, origins, width))
        told.append(_window_mean(values, origins - self.width, self.width))
        numbers = [(each - level) / size for each in told]
        numbers += [ahead.astype(np.float64), size / (np.abs(level) + size)]
        steps = history.start + origins + ahead
        numbers += [(steps % season).astype(np.float64) for season in self.seasons]
        return np.column_stack(
            [*numbers, self.grid.calendar(steps), *self._known(history, origins, ahead)]
        )

    def _known(self, history: History, origins: Steps, ahead: Steps) -> list[Floats]:
        table = history.covariates
        return [
            *(table[origins + ahead, each] for each in self.columns),
            *(table[origins, each] for each in self.past_columns),
        ]

    def _place(self, origins: Steps, ahead: Steps, season: int) -> Steps:
        return origins + ahead - season * -(-ahead // season)

    def _aligned(
        self, values: Floats, origins: Steps, ahead: Steps, season: int, back: int
    ) -> Floats:
        return _taken(values, self._place(origins, ahead, season) - back * season, origins)


def _taken(values: Floats, places: Steps, last: Steps | None = None) -> Floats:
    """Returns values at places, NaN where there is none or it lies behind the last known one."""
    inside = places >= 0
    if last is not None:
        inside &= places <= last
    return np.where(inside, values[np.clip(places, 0, len(values) - 1)], np.nan)


def _window_mean(values: Floats, ends: Steps, width: int) -> Floats:
    """Returns means of the values until ends, theirs included; of fewer where there are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    stops = np.clip(ends + 1, 1, len(values))
    starts = np.maximum(stops - width, 0)
    return np.asarray((sums[stops] - sums[starts]) / (stops - starts))


def _window_spread(values: Floats, ends: Steps, width: int) -> Floats:
    squares = _window_mean(values**2, ends, width) - _window_mean(values, ends, width) ** 2
    return np.sqrt(np.maximum(squares, 0.0))


def _mean_known(columns: list[Floats]) -> Floats:
    table = np.stack(columns)
    known = ~np.isnan(table)
    counts = known.sum(axis=0)
    sums = np.where(known, table, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

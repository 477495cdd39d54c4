"""Each series as a line through its own past, waves of its seasons and covariates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from common.models.estimators.forecasting.grid import Floats, Steps
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.simple import seasonal_naive

_LEAST_ROWS = 8
_MOST_WAVES_SHARE = 0.45
_WILD = 10.0
_MOST_BEFORE = 3


@dataclass(frozen=True)
class LinearLags:
    """Ridge regression of each series on lags, waves and covariates, step by step.

    With waves for the seasons this is a dynamic harmonic regression (Hyndman and
    Athanasopoulos, "Forecasting", 2021, 10.5) whose errors are autoregressive.

    Attributes:
        seasons: Steps in each season, fractions too.
        lags: How many of the last values.
        season_lags: How many values about each season ago.
        waves: Pairs of sine and cosine for each season, at most.
        ridge: By how much coefficients are held back, a share of the rows.
        is_changes: Whether changes from step to step are modelled.
        is_log: Whether logarithms are, where all values are above 0.
        longest: Of longer series only the last so many values are looked at; 0 for all.
        has_trend: Whether time itself counts.
        columns: Which covariates are known of the future.
    """

    seasons: tuple[float, ...] = ()
    lags: int = 3
    season_lags: int = 1
    waves: int = 0
    ridge: float = 1e-3
    is_changes: bool = False
    is_log: bool = False
    longest: int = 0
    has_trend: bool = False
    columns: tuple[int, ...] = ()

    @property
    def uses_covariates(self) -> bool:
        """See `Member`."""
        return bool(self.columns)

    def forecast(
        self, histories: Sequence[History], horizon: int, check: Callable[[], None] = lambda: None
    ) -> Floats:
        """See `Member.forecast`."""
        found = np.empty((len(histories), horizon))
        for place, each in enumerate(histories):
            check()
            found[place] = self._one(each, horizon)
        return found

    def _one(self, history: History, horizon: int) -> Floats:
        values = history.values[-self.longest :]
        main = round(self.seasons[0]) if self.seasons else 1
        usual = seasonal_naive(values, main, horizon)
        if values.min() == values.max():
            return usual
        is_log = self.is_log and bool(values.min() > 0)
        seen = np.log(values) if is_log else values
        told = self._continued(seen, history, horizon)
        if told is None:
            return usual
        with np.errstate(over="ignore"):
            told = np.exp(told) if is_log else told
        middle, reach = (values.max() + values.min()) / 2, values.max() - values.min()
        is_sane = np.isfinite(told).all() and (np.abs(told - middle) <= _WILD * reach).all()
        return told if is_sane else usual

    def _continued(self, values: Floats, history: History, horizon: int) -> Floats | None:
        """Returns the next values; None where the series is too short."""
        level = values[-1]
        work = np.diff(values) if self.is_changes else values
        lags = self._lags(len(work))
        rows = len(work) - (int(lags.max()) if len(lags) else 0)
        if rows < _LEAST_ROWS:
            return None
        centre, size = work.mean(), work.std() or 1.0
        work = (work - centre) / size
        steps = history.end - len(work) + np.arange(len(work) + horizon)
        outside = self._outside(steps, rows, history)
        own = np.column_stack(
            [work[len(work) - rows - lag : len(work) - lag] for lag in lags]
            or [np.zeros((rows, 0))]
        )
        known = outside[len(work) - rows : len(work)]
        weights = self._solved(np.hstack([own, known]), work[-rows:])
        lagged, fixed = weights[: len(lags)], outside[len(work) :] @ weights[len(lags) :]
        path = np.concatenate([work, np.zeros(horizon)])
        for place in range(len(work), len(path)):
            path[place] = path[place - lags] @ lagged + fixed[place - len(work)]
        told = path[len(work) :] * size + centre
        return np.asarray(level + np.cumsum(told) if self.is_changes else told)

    def _lags(self, count: int) -> Steps:
        wanted = set(range(1, self.lags + 1))
        for season in (round(each) for each in self.seasons):
            reach = self.season_lags // 2
            if self.season_lags:
                wanted |= set(range(season - reach, season + reach + 1))
        most = max(count // 3, 1)
        return np.array(sorted(each for each in wanted if 0 < each <= most), np.int64)

    def _outside(self, steps: Steps, rows: int, history: History) -> Floats:
        """Returns what does not depend on the series' values, (steps, terms)."""
        terms = [np.ones(len(steps))]
        if self.has_trend:
            terms.append((steps - steps[0]) / len(steps))
        room = int(_MOST_WAVES_SHARE * rows)
        for season in self.seasons:
            if season > rows:
                continue
            for wave in range(1, min(self.waves, int(season // 2), room // 2) + 1):
                angle = 2 * np.pi * wave * steps / season
                terms += [np.sin(angle), np.cos(angle)]
        found = np.column_stack(terms)
        if not self.columns:
            return found
        begin = int(steps[0]) - history.start
        covariates = history.covariates[begin : begin + len(steps), list(self.columns)]
        now = _standardised(covariates)
        # Of a lagged value what its own covariates explain is to be taken away.
        before = [_before(now, lag) for lag in range(1, min(self.lags, _MOST_BEFORE) + 1)]
        return np.hstack([found, now, *before])

    def _solved(self, table: Floats, truth: Floats) -> Floats:
        penalty = self.ridge * len(truth) * np.eye(table.shape[1])
        return np.asarray(
            np.linalg.solve(
                table.T @ table + penalty + 1e-9 * np.eye(len(penalty)), table.T @ truth
            )
        )


def _before(columns: Floats, lag: int) -> Floats:
    return np.vstack([np.repeat(columns[:1], lag, axis=0), columns[:-lag]])


def _standardised(columns: Floats) -> Floats:
    centre = np.nanmean(np.where(np.isfinite(columns), columns, np.nan), axis=0)
    centre = np.where(np.isfinite(centre), centre, 0.0)
    full = np.where(np.isfinite(columns), columns, centre)
    size = full.std(axis=0)
    return np.asarray((full - centre) / np.where(size > 0, size, 1.0))

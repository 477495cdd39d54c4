"""How far off forecasts may be: from how far off they were."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.models.estimators.forecasting.grid import Floats

LEVELS = np.linspace(0.005, 0.995, 199)
_LEAST = 1e-12
_FEW = 20


@dataclass(frozen=True)
class Intervals:
    """Conformal intervals: errors of backtests, by step and in units of each series.

    Vovk et al., "Algorithmic learning in a random world" (2005); errors grow with the step as
    they did in the mean.

    Attributes:
        spreads: Typical error of each step in units of a series' scale, (horizon,).
        errors: Quantiles at `LEVELS` of errors (truth less forecast) in units of scale and spread.
    """

    spreads: Floats
    errors: Floats

    @classmethod
    def of(cls, errors: Floats) -> "Intervals":
        """Returns the intervals of errors in units of the series' scales.

        Args:
            errors: (windows, horizon), NaN where the truth is not known; any number of windows.
        """
        horizon = errors.shape[1]
        known = np.isfinite(errors)
        squares = np.where(known, errors, 0.0) ** 2
        counts = known.sum(axis=0)
        overall = np.sqrt(squares.sum() / max(counts.sum(), 1)) or 1.0
        # Steps with few errors borrow from all.
        means = (squares.sum(axis=0) + _FEW * overall**2 / 4) / (counts + _FEW / 4)
        spreads = np.maximum(_ascending(np.sqrt(means), counts + 1.0), _LEAST)
        own = (errors / spreads)[known]
        if not len(own):
            return cls(spreads, np.zeros(len(LEVELS)))
        # Of n errors the level that holds for the next one is a little farther out.
        out = 0.5 + (LEVELS - 0.5) * (len(own) + 1) / len(own)
        return cls(np.resize(spreads, horizon), np.quantile(own, np.clip(out, 0, 1)))

    def quantiles(self, forecasts: Floats, scales: Floats, levels: Sequence[float]) -> Floats:
        """Returns quantiles, (series, steps, levels).

        Args:
            forecasts: (series, steps), of any number of steps.
            scales: Of the series, (series,).
            levels: Above 0 and below 1.
        """
        steps = forecasts.shape[1]
        far = np.sqrt(np.maximum(np.arange(1, steps + 1) / len(self.spreads), 1.0))
        last = np.full(max(steps - len(self.spreads), 0), self.spreads[-1])
        spreads = np.concatenate([self.spreads[:steps], last]) * far
        off = np.interp(levels, LEVELS, self.errors)
        return np.asarray(forecasts[:, :, None] + (scales[:, None] * spreads)[:, :, None] * off)


def _ascending(values: Floats, weights: Floats) -> Floats:
    """Returns the nearest values that never fall (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            total = last[1] + before[1]
            mean = (last[0] * last[1] + before[0] * before[1]) / total
            blocks.append([mean, total, last[2] + before[2]])
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks])

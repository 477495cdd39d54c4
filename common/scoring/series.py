"""Metrics of forecasts: of one series at a time."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.scoring.rows import RowValues


class SeriesMetric(Protocol):
    """A way to say how far forecasts of a series are off: 0 is best, finite if these are."""

    @property
    def name(self) -> str:
        """As users write it, for instance `mase`."""
        ...

    def loss(self, truth: RowValues, forecasts: RowValues, history: RowValues) -> float:
        """Returns the loss.

        Args:
            truth: What came, (horizon,), NaN where it is not known.
            forecasts: What was said of it, (horizon,).
            history: What came before, (times,), NaN where it is not known.
        """
        ...


@dataclass(frozen=True)
class Mase:
    """Mean absolute error by that of the seasonal naive forecast in the history.

    Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006). Of a history
    shorter than a season, or one that repeats itself exactly, changes from one time to the next
    are the scale; of a constant one its size; else 1.

    Attributes:
        season: Times in a season, at least 1.
    """

    season: int = 1

    @property
    def name(self) -> str:
        """See `SeriesMetric.name`."""
        return "mase"

    def loss(self, truth: RowValues, forecasts: RowValues, history: RowValues) -> float:
        """See `SeriesMetric.loss`."""
        return _mean(np.abs(truth - forecasts)[~np.isnan(truth)]) / self.scale(history)

    def scale(self, history: RowValues) -> float:
        """Returns what errors are divided by, above 0."""
        for lag in dict.fromkeys((self.season, 1)):
            changes = np.abs(history[lag:] - history[:-lag])
            change = _mean(changes[~np.isnan(changes)])
            if change > 0:
                return change
        return _mean(np.abs(history[~np.isnan(history)])) or 1.0


@dataclass(frozen=True)
class Smape:
    """Symmetric mean absolute percentage error, 0 to 2, as in the M4 competition (there in %)."""

    @property
    def name(self) -> str:
        """See `SeriesMetric.name`."""
        return "smape"

    def loss(self, truth: RowValues, forecasts: RowValues, history: RowValues) -> float:
        """See `SeriesMetric.loss`; the history does not matter."""
        is_known = ~np.isnan(truth)
        truth, forecasts = truth[is_known], forecasts[is_known]
        size = np.abs(truth) + np.abs(forecasts)
        # Where both are 0 there is no error.
        return _mean(2 * np.abs(truth - forecasts) / np.where(size == 0, 1.0, size))


def _mean(values: RowValues) -> float:
    return float(values.mean()) if len(values) else 0.0

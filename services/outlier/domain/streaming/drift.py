"""Drift alarms: which feature changed, from which mean to which, and when."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Matrix, Scores
from services.outlier.domain.streaming.adaptive_windows import AdaptiveWindows, Change
from services.outlier.domain.streaming.baseline import BLOCK, Baseline

Arrays = dict[str, npt.NDArray[np.generic]]

MOST_WATCHED = 1000
SCORE = -1

_CLIPPED = 6.0  # so that single outliers are no drift
_TRUSTED = 3.0  # a mean nearer to where numbers are clipped is not one
_SCORE_SCALE = 0.741  # scores have an interquartile range of 1: so many standard deviations


@dataclass(frozen=True)
class Drift:
    """The mean of a feature, or of the scores, has changed.

    Attributes:
        row: Of the stream, from 0, at which it was noticed.
        feature: Its index; -1 for the scores.
        before: Mean before, in the feature's units.
        after: Mean after, or for a large change the median.
    """

    row: int
    feature: int
    before: float
    after: float


class DriftMonitor:
    """Adaptive windows over standardised features and scores.

    After an alarm a feature is not watched until the baseline has seen a window of new rows, and
    then compared with what is usual since. Of more than 1,000 features so many are watched.

    Source: Bifet and Gavalda, Learning from time-changing data with adaptive windowing (2007).
    """

    def __init__(self, features: int, delta: float, pause: int) -> None:
        """Begins with nothing.

        Args:
            features: Numbers in a row.
            delta: Chance of a false alarm at one cut in any feature.
            pause: Rows without alarms at first, and of a feature after its alarm.
        """
        watched = min(features, MOST_WATCHED)
        self._watched = np.rint(np.linspace(0, features - 1, watched)).astype(np.int64)
        self._delta = delta
        self._pause = pause
        self._windows = AdaptiveWindows(watched + 1, delta / (watched + 1))
        self._centre = np.full(watched + 1, np.nan)  # NaN while it is not watched
        self._scale = np.ones(watched + 1)
        self._resume = np.full(watched + 1, _aligned(pause))

    def look_again(self, first: int, baseline: Baseline) -> None:
        """Watches features whose pause is over, before the baseline learns row `first`."""
        due = np.isnan(self._centre) & (self._resume <= first)
        features = due[:-1]
        self._centre[:-1][features] = baseline.centre[self._watched[features]]
        self._scale[:-1][features] = baseline.scale[self._watched[features]]
        if due[-1]:
            self._centre[-1], self._scale[-1] = 0.0, _SCORE_SCALE

    def update(
        self, first: int, rows: Matrix, scores: Scores, baseline: Baseline
    ) -> tuple[Drift, ...]:
        """Returns the alarms of some rows; none of the streams twice.

        Args:
            first: Number of the first row in the stream. Whole blocks of 64 rows, or parts of one.
            rows: Shape (rows, features); NaN is missing.
            scores: Shape (rows,), normalised; NaN is none.
            baseline: What is usual; has learned these rows.
        """
        values = np.concatenate([rows[:, self._watched], scores[:, None]], axis=1)
        with np.errstate(over="ignore"):
            standardised = np.clip((values - self._centre) / self._scale, -_CLIPPED, _CLIPPED)
        earliest: dict[int, Change] = {}
        for change in self._windows.update(standardised):
            earliest.setdefault(change.stream, change)
        # What came in the same batch after an alarm must not count, as if rows came one by one.
        self._windows.restart(np.array(list(earliest), np.int64))
        drifts = tuple(self._drift(first, change, values, baseline) for change in earliest.values())
        for change in earliest.values():
            self._centre[change.stream] = np.nan
            self._resume[change.stream] = _aligned(first + change.row + 1 + self._pause)
        return drifts

    def _drift(self, first: int, change: Change, values: Matrix, baseline: Baseline) -> Drift:
        stream = change.stream
        of_score = stream == len(self._watched)
        centre, scale = self._centre[stream], self._scale[stream]
        feature = SCORE if of_score else int(self._watched[stream])
        after = centre + change.after * scale
        if abs(change.after) > _TRUSTED and not of_score:
            latest = min(change.length, BLOCK)
            after = baseline.recent_median(feature, first + change.row, latest)
        before = centre + change.before * scale
        return Drift(first + change.row, feature, float(before), float(after))

    def state(self) -> tuple[Arrays, dict[str, int | float]]:
        """Returns all that is needed to continue: arrays and numbers."""
        arrays = {f"windows_{name}": array for name, array in self._windows.state().items()}
        arrays |= {
            "watched": self._watched.copy(),
            "centre": self._centre.copy(),
            "scale": self._scale.copy(),
            "resume": self._resume.copy(),
        }
        return arrays, {"delta": self._delta, "pause": self._pause}

    @classmethod
    def from_state(cls, arrays: Arrays, numbers: dict[str, int | float]) -> "DriftMonitor":
        """Returns a monitor that goes on where `state` was taken."""
        watched = np.array(arrays["watched"], np.int64)
        delta, pause = float(numbers["delta"]), int(numbers["pause"])
        monitor = cls(len(watched), delta, pause)
        monitor._watched = watched
        names = ("totals", "variances", "counts", "sums")
        monitor._windows = AdaptiveWindows.from_state(
            delta / (len(watched) + 1), {name: arrays[f"windows_{name}"] for name in names}
        )
        monitor._centre = np.array(arrays["centre"], np.float64)
        monitor._scale = np.array(arrays["scale"], np.float64)
        monitor._resume = np.array(arrays["resume"], np.int64)
        return monitor


def _aligned(row: int) -> int:
    """Returns the first row of the next block: the baseline changes only there."""
    return -(-row // BLOCK) * BLOCK

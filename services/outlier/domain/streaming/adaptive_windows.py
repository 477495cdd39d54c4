"""Adaptive windows (ADWIN): the latest part of a stream whose mean has not changed, per stream."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.host.compiling import compiled
from services.outlier.domain.detector import Matrix, Scores

Arrays = dict[str, npt.NDArray[np.generic]]
Counts = npt.NDArray[np.int64]

_BUCKETS = 5  # of one size, before two are merged
_LEVELS = 40
_CLOCK = 32
_SHORTEST = 5
_GRACE = 10

_WIDTH, _TOTAL, _VARIANCE, _TICK = range(4)


@dataclass(frozen=True)
class Change:
    """The mean of a stream changed.

    Attributes:
        row: Position in the batch at which it was noticed.
        stream: Which stream.
        before: Mean of the window before the clearest cut.
        after: Mean after it.
        length: Values after it.
    """

    row: int
    stream: int
    before: float
    after: float
    length: int


class AdaptiveWindows:
    """One adaptive window for each of several streams that share a clock or miss values.

    A window is an exponential histogram: buckets of 1, 2, 4, ... values, at most five of a size.
    Every 32 values all cuts between buckets are tried; where the means on both sides of one differ
    by more than chance, a change is reported and the window of that stream begins anew.

    Source: Bifet and Gavalda, Learning from time-changing data with adaptive windowing (2007).
    """

    def __init__(self, streams: int, delta: float) -> None:
        """Begins with nothing.

        Args:
            streams: How many.
            delta: Chance of a false alarm at one cut.
        """
        self._delta = delta
        self._totals = np.zeros((streams, _LEVELS, _BUCKETS + 1))
        self._variances = np.zeros((streams, _LEVELS, _BUCKETS + 1))
        self._counts = np.zeros((streams, _LEVELS), np.int64)
        self._sums = np.zeros((streams, 4))

    def update(self, values: Matrix) -> list[Change]:
        """Returns the changes noticed, by row.

        Args:
            values: Of all streams, best between 0 and 1 or standardised, shape (rows, streams);
                a NaN is no value.
        """
        state = self._totals, self._variances, self._counts, self._sums
        most = (len(values) // _CLOCK + 1) * len(self._sums)
        found = np.empty((most, 5))
        count = _update(values, *state, self._delta, found)
        ordered = found[:count][np.lexsort((found[:count, 1], found[:count, 0]))]
        return [
            Change(int(row), int(stream), before, after, int(length))
            for row, stream, before, after, length in ordered.tolist()
        ]

    def restart(self, streams: npt.NDArray[np.generic]) -> None:
        """Begins the windows of some streams anew."""
        self._counts[streams] = 0
        self._sums[streams] = 0

    @property
    def widths(self) -> Scores:
        """Values in each window, shape (streams,)."""
        return self._sums[:, _WIDTH]

    def state(self) -> Arrays:
        """Returns all that is needed to continue, but for delta."""
        # Only the levels in use, so that the state stays small.
        used = int(np.flatnonzero(self._counts.any(0)).max(initial=-1)) + 1
        return {
            "totals": self._totals[:, :used].copy(),
            "variances": self._variances[:, :used].copy(),
            "counts": self._counts[:, :used].copy(),
            "sums": self._sums.copy(),
        }

    @classmethod
    def from_state(cls, delta: float, arrays: Arrays) -> "AdaptiveWindows":
        """Returns windows that go on where `state` was taken."""
        windows = cls(len(arrays["sums"]), delta)
        used = arrays["counts"].shape[1]
        windows._totals[:, :used] = arrays["totals"]
        windows._variances[:, :used] = arrays["variances"]
        windows._counts[:, :used] = arrays["counts"]
        windows._sums[:] = arrays["sums"]
        return windows


@compiled
def _insert(value: float, totals: Matrix, variances: Matrix, counts: Counts, sums: Scores) -> None:
    """Adds one value to a window and merges the oldest two buckets of a size that has too many."""
    if sums[_WIDTH] > 0:
        deviation = value - sums[_TOTAL] / sums[_WIDTH]
        sums[_VARIANCE] += sums[_WIDTH] * deviation * deviation / (sums[_WIDTH] + 1)
    sums[_WIDTH] += 1
    sums[_TOTAL] += value
    totals[0, counts[0]], variances[0, counts[0]] = value, 0.0
    counts[0] += 1
    level, size = 0, 1.0
    while counts[level] > _BUCKETS:
        first, second = totals[level, 0], totals[level, 1]
        place = counts[level + 1]
        totals[level + 1, place] = first + second
        difference = first / size - second / size
        variances[level + 1, place] = (
            variances[level, 0] + variances[level, 1] + size * difference * difference / 2
        )
        counts[level + 1] += 1
        counts[level] -= 2
        for place in range(counts[level]):
            totals[level, place] = totals[level, place + 2]
            variances[level, place] = variances[level, place + 2]
        level, size = level + 1, size * 2


@compiled
def _clearest_cut(totals: Matrix, counts: Counts, sums: Scores, delta: float) -> float:
    """Returns how many values lie before the cut with the clearest change; 0 if there is none."""
    width = sums[_WIDTH]
    spread = max(sums[_VARIANCE], 0.0) / width
    strictness = math.log(2 * math.log(width) / delta)
    older, older_total = 0.0, 0.0
    clearest, cut = 1.0, 0.0
    for level in range(_LEVELS - 1, -1, -1):
        for place in range(counts[level]):
            older += 2.0**level
            older_total += totals[level, place]
            newer = width - older
            if newer < _SHORTEST:
                return cut
            if older < _SHORTEST:
                continue
            inverse = 1 / (older - _SHORTEST + 1) + 1 / (newer - _SHORTEST + 1)
            chance = math.sqrt(2 * inverse * spread * strictness) + 2 / 3 * strictness * inverse
            gap = abs(older_total / older - (sums[_TOTAL] - older_total) / newer)
            if gap > clearest * chance:
                clearest, cut = gap / chance, older
    return cut


@compiled
def _total_before(totals: Matrix, counts: Counts, cut: float) -> float:
    older, total = 0.0, 0.0
    for level in range(_LEVELS - 1, -1, -1):
        for place in range(counts[level]):
            if older < cut:
                older += 2.0**level
                total += totals[level, place]
    return total


@compiled
def _update(
    values: Matrix,
    totals: npt.NDArray[np.float64],
    variances: npt.NDArray[np.float64],
    counts: Counts,
    sums: Matrix,
    delta: float,
    found: Matrix,
) -> int:
    """Adds values to all windows and writes down row, stream and means of every change."""
    changes = 0
    for stream in range(values.shape[1]):
        own = totals[stream], variances[stream], counts[stream], sums[stream]
        for row in range(len(values)):
            if np.isnan(values[row, stream]):
                continue
            _insert(values[row, stream], *own)
            own[3][_TICK] += 1
            if own[3][_TICK] % _CLOCK or own[3][_WIDTH] <= _GRACE:
                continue
            cut = _clearest_cut(own[0], own[2], own[3], delta)
            if cut > 0:
                older, newer = _total_before(own[0], own[2], cut), own[3][_WIDTH] - cut
                found[changes, 0], found[changes, 1] = row, stream
                found[changes, 2] = older / cut
                found[changes, 3] = (own[3][_TOTAL] - older) / newer
                found[changes, 4] = newer
                changes += 1
                own[2][:] = 0
                own[3][:] = 0
    return changes

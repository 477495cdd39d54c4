"""Detectors that ask, feature by feature, how far out in its distribution a number lies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from services.outlier.domain.detector import Card, Detector, Generator, Matrix, Rows, Scores
from services.outlier.domain.detectors.distances import LARGEST, blocks, bounded

# Numbers in the tables of all features: 32 MB.
_TABLE_CELLS = 4_000_000
_LEAST_POINTS = 64

# Takes how unlikely numbers so small and numbers so large are, and the sign of the skewness.
Combine = Callable[[Scores, Scores, float], Scores]


@dataclass(frozen=True)
class FittedTails:
    """What a number adds to the score, by feature.

    A table of p points has 2p + 1 places: below the first point, at it, between it and the
    second, and so on. The tables of all features follow one another.

    Attributes:
        points: Ascending by feature, shape (all points,).
        ends: Where each feature's points end, shape (features,).
        oddness: What a number adds, by its place, shape (2 * all points + features,).
    """

    points: Scores
    ends: npt.NDArray[np.int64]
    oddness: Scores

    def score(self, rows: Rows) -> Scores:
        """Returns the sum over the features, shape (rows,)."""
        scores = np.zeros(rows.count)
        for block in blocks(rows.count, len(self.ends)):
            # By feature, so that a feature's numbers lie side by side and its table stays near.
            columns = np.ascontiguousarray(bounded(rows.values[block]).T)
            start = 0
            for feature, (column, end) in enumerate(zip(columns, self.ends, strict=True)):
                table = self.oddness[2 * start + feature : 2 * end + feature + 1]
                scores[block] += table[_places(column, self.points[start:end])]
                start = end
        return scores


def _places(column: Scores, points: Scores) -> npt.NDArray[np.intp]:
    """Returns 2i for a number below point i and above the one before, 2i + 1 for one at it."""
    # Sorting first halves the time: the search goes on from the place before.
    order = np.argsort(column)
    above = np.empty(len(column), dtype=np.intp)
    above[order] = np.searchsorted(points, column[order], side="right")
    return np.asarray(2 * above - (points[above - 1] == column) * (above > 0))


def _fit_tails(values: Matrix, points: int, combine: Combine) -> FittedTails:
    """Makes each feature's table."""
    most = int(np.clip(_TABLE_CELLS // values.shape[1], _LEAST_POINTS, points))
    tables = [_table(np.sort(bounded(column)), most, combine) for column in values.T]
    return FittedTails(
        np.concatenate([places for places, _ in tables]),
        np.cumsum([len(places) for places, _ in tables]),
        np.concatenate([oddness for _, oddness in tables]),
    )


def _table(column: Scores, most: int, combine: Combine) -> tuple[Scores, Scores]:
    """Returns the points and the table of one feature's sorted numbers."""
    count = len(column)
    points, first = np.unique(column, return_index=True)
    up_to = np.append(first[1:], count)
    chosen = _spread(len(points), most)
    points, first, up_to = points[chosen], first[chosen], up_to[chosen]
    # What lies beyond all fitted numbers is as rare as one among one more.
    rare = 1 / (count + 1)
    left, right = np.full((2, 2 * len(points) + 1), rare)
    left[1::2] = left[2::2] = up_to / count
    right[1::2] = right[0:-1:2] = (count - first) / count
    oddness = combine(-np.log(left), -np.log(right), _skewness(column))
    return points, oddness


def _spread(count: int, most: int) -> npt.NDArray[np.intp]:
    """Chooses points of a table: all at the ends, and ever fewer towards the middle.

    So chosen, the logarithm of a frequency is equally exact everywhere.
    """
    if count <= most:
        return np.arange(count)
    below = np.geomspace(1, (count + 1) // 2, most // 2).astype(np.intp) - 1
    return np.unique(np.concatenate((below, count - 1 - below)))


def _skewness(column: Scores) -> float:
    """Returns the sign of the third central moment."""
    largest = max(np.abs(column).max(), 1 / LARGEST)
    apart = column / largest
    apart -= apart.mean()
    spread = np.sqrt(np.mean(apart * apart))
    # Of a constant, rounding is all that is left.
    if spread <= 1e-12:
        return 0.0
    return float(np.sign(np.mean((apart / spread) ** 3)))


def _skewed_tail(left: Scores, right: Scores, skewness: float) -> Scores:
    """Returns the tail to which the distribution is skewed, or both if it is symmetric."""
    if skewness == 0:
        return left + right
    return left if skewness < 0 else right


def _ecod(left: Scores, right: Scores, skewness: float) -> Scores:
    return np.maximum(_skewed_tail(left, right, skewness), np.maximum(left, right))


def _copod(left: Scores, right: Scores, skewness: float) -> Scores:
    return np.maximum(_skewed_tail(left, right, skewness), (left + right) / 2)


class Ecod(Detector):
    """How far out in the tail of its distribution each number lies, summed over the features.

    Li, Zhao, Hu, Botta, Ionescu, Chen: ECOD: unsupervised outlier detection using empirical
    cumulative distribution functions (2022). As in PyOD, the larger tail is taken by feature.
    Features are taken one by one: an odd combination of usual numbers is not found.
    """

    card: ClassVar[Card] = Card(
        fits="Rows with single numbers far out; many rows and many features; no parameters.",
        cost="fit O(n log n d), score O(d)",
        source="Li, Zhao, Hu, Botta, Ionescu, Chen: ECOD: unsupervised outlier detection using "
        "empirical cumulative distribution functions (2022)",
        most_rows=200_000,
    )

    points: int = Field(default=2048, ge=64, le=1_000_000)
    """Most points of a feature's table; exact where a feature has no more different numbers."""

    def fit(self, rows: Rows, generator: Generator) -> FittedTails:
        """Tabulates each feature's distribution."""
        return _fit_tails(rows.values, self.points, _ecod)


class Copod(Detector):
    """How unlikely numbers at least so extreme are, by the empirical copula.

    Li, Zhao, Botta, Ionescu, Hu: COPOD: copula-based outlier detection (2020). Features are taken
    one by one: an odd combination of usual numbers is not found.
    """

    card: ClassVar[Card] = Card(
        fits="Rows with several numbers far out; many rows and many features; no parameters.",
        cost="fit O(n log n d), score O(d)",
        source="Li, Zhao, Botta, Ionescu, Hu: COPOD: copula-based outlier detection (2020)",
        most_rows=200_000,
    )

    points: int = Field(default=2048, ge=64, le=1_000_000)
    """Most points of a feature's table; exact where a feature has no more different numbers."""

    def fit(self, rows: Rows, generator: Generator) -> FittedTails:
        """Tabulates each feature's distribution."""
        return _fit_tails(rows.values, self.points, _copod)

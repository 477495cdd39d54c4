"""How the loss of a bag of candidates changes with one more: sums that are kept, not made again."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.scoring.probabilities import BRIER, LOG_LOSS
from common.scoring.ranking import ROC_AUC
from common.scoring.thresholds import best_threshold, has_threshold
from common.scoring.values import R2, RMSE
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.problem import ProblemKind

_SQUARES = frozenset({BRIER.name, RMSE.name, R2.name})
_LEAST = 1e-15
_FEWEST_BINS, _MOST_BINS = 1 << 10, 1 << 14
_CHUNK = 1 << 16


class Bag(Protocol):
    """Candidates, each any number of times, whose outputs are averaged.

    Attributes:
        is_cheap: Whether all candidates may be tried each time.
    """

    is_cheap: bool

    def tried(self, candidates: Sequence[int]) -> Floats:
        """Returns what the loss, or what grows with it, would be with one more of each."""
        ...

    def add(self, candidate: int) -> None:
        """Adds a candidate."""
        ...

    def empty(self) -> None:
        """Takes all out."""
        ...


def bag_of(pool: Pool) -> Bag:
    """Returns the bag that suits the metric, empty."""
    name = pool.metric.name
    if name in _SQUARES:
        return SquaresBag(pool)
    if name == LOG_LOSS.name:
        return LikelihoodBag(pool)
    if name == ROC_AUC.name and pool.kind is ProblemKind.BINARY:
        return RankingBag(pool)
    return PlainBag(pool)


class SquaresBag:
    """Mean squared error, by the products of the candidates' errors."""

    is_cheap = True

    def __init__(self, pool: Pool) -> None:
        """Multiplies the errors, part by part: all at once would take the pool's memory again."""
        wide = _indicators(pool)
        factors = np.ones(pool.row_count) if pool.weights is None else np.sqrt(pool.weights)
        self._products = np.zeros((pool.size, pool.size))
        step = max(_CHUNK // wide.shape[1], 1)
        for start in range(0, pool.row_count, step):
            rows = slice(start, start + step)
            errors = (pool.outputs[:, rows] - wide[rows]) * factors[rows, None]
            flat = errors.reshape(pool.size, -1)
            self._products += flat @ flat.T
        self.empty()

    def tried(self, candidates: Sequence[int]) -> Floats:
        """See `Bag`."""
        chosen = np.asarray(candidates)
        own = self._products[chosen, chosen]
        return np.asarray((self._square + 2 * self._with[chosen] + own) / (self._count + 1) ** 2)

    def add(self, candidate: int) -> None:
        """See `Bag`."""
        self._square += 2 * self._with[candidate] + self._products[candidate, candidate]
        self._with += self._products[candidate]
        self._count += 1

    def empty(self) -> None:
        """See `Bag`."""
        self._with = np.zeros(len(self._products))
        self._square, self._count = 0.0, 0


class LikelihoodBag:
    """Log loss, by the probabilities of what is true alone."""

    is_cheap = True

    def __init__(self, pool: Pool) -> None:
        """Takes the probabilities of what is true, (candidates, entries)."""
        self._own = _true_probabilities(pool)
        weights = np.ones(pool.row_count) if pool.weights is None else pool.weights
        entries = np.repeat(weights, self._own.shape[1] // pool.row_count)
        self._weights = (entries / entries.sum()).astype(np.float32)
        self.empty()

    def tried(self, candidates: Sequence[int]) -> Floats:
        """See `Bag`."""
        # A candidate at a time stays within the processor's cache.
        return np.array([self._loss(self._total + self._own[each]) for each in candidates])

    def add(self, candidate: int) -> None:
        """See `Bag`."""
        self._total += self._own[candidate]
        self._count += 1

    def empty(self) -> None:
        """See `Bag`."""
        self._total = np.zeros(self._own.shape[1], np.float32)
        self._count = 0

    def _loss(self, total: npt.NDArray[np.float32]) -> float:
        total *= np.float32(1 / (self._count + 1))
        np.maximum(total, np.float32(_LEAST), out=total)
        return -float(np.dot(np.log(total, out=total), self._weights))


class RankingBag:
    """Area under the ROC curve, by histograms: fine enough to choose, not to report."""

    is_cheap = True

    def __init__(self, pool: Pool) -> None:
        """Takes the probabilities of the second class."""
        self._second = np.ascontiguousarray(pool.outputs[:, :, 1])
        self._bins = min(max(4 * pool.row_count, _FEWEST_BINS), _MOST_BINS)
        self._places = (pool.truth == 1).astype(np.int32) * self._bins
        self._weights = pool.weights
        self.empty()

    def tried(self, candidates: Sequence[int]) -> Floats:
        """See `Bag`."""
        return np.array([self._loss(self._total + self._second[each]) for each in candidates])

    def add(self, candidate: int) -> None:
        """See `Bag`."""
        self._total += self._second[candidate]
        self._count += 1

    def empty(self) -> None:
        """See `Bag`."""
        self._total = np.zeros(self._second.shape[1], np.float32)
        self._count = 0

    def _loss(self, total: npt.NDArray[np.float32]) -> float:
        # Where the second class is rare most probabilities are close to 0: roots spread them.
        roots = np.sqrt(np.clip(total / (self._count + 1), 0, 1)) * np.float32(self._bins - 1)
        places = roots.astype(np.int32) + self._places
        counts = np.bincount(places, self._weights, 2 * self._bins)
        others, own = counts[: self._bins], counts[self._bins :]
        pairs = others.sum() * own.sum()
        before = np.cumsum(others) - others / 2
        return 1 - float(own @ before / pairs) if pairs > 0 else 0.5


class PlainBag:
    """Any metric, by itself."""

    is_cheap = False

    def __init__(self, pool: Pool) -> None:
        """Takes the pool as it is."""
        self._pool = pool
        self._has_threshold = pool.kind is ProblemKind.BINARY and has_threshold(pool.metric)
        self.empty()

    def tried(self, candidates: Sequence[int]) -> Floats:
        """See `Bag`."""
        return np.array([self._loss(each) for each in candidates])

    def add(self, candidate: int) -> None:
        """See `Bag`."""
        self._total += self._pool.outputs[candidate]
        self._count += 1

    def empty(self) -> None:
        """See `Bag`."""
        self._total: Floats = np.zeros(self._pool.outputs.shape[1:])
        self._count = 0

    def _loss(self, candidate: int) -> float:
        pool = self._pool
        outputs = (self._total + pool.outputs[candidate]) / (self._count + 1)
        if self._has_threshold:
            return best_threshold(pool.truth, outputs, pool.metric, pool.weights).loss
        return pool.loss(outputs)


def _indicators(pool: Pool) -> Floats:
    """Returns what outputs would be best, (rows, outputs)."""
    if not pool.kind.has_classes:
        return np.asarray(pool.truth, np.float64).reshape(pool.row_count, -1)
    wide = np.zeros(pool.outputs.shape[1:])
    wide[np.arange(pool.row_count), pool.truth.astype(np.int64)] = 1
    return wide


def _true_probabilities(pool: Pool) -> npt.NDArray[np.float32]:
    if pool.kind.has_classes:
        rows, own = np.arange(pool.row_count), pool.truth.astype(np.int64)
        return np.ascontiguousarray(pool.outputs[:, rows, own])
    own = np.where(pool.truth == 1, pool.outputs, 1 - pool.outputs)
    return np.asarray(own.reshape(pool.size, -1), np.float32)

"""What families of boosted trees, and others that learn in rounds, share."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from services.tuner.domain.families.family import Fold
from services.tuner.domain.families.shared import chained
from services.tuner.domain.preparation.preparing import Wanted, preparation
from services.tuner.domain.problem import Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration

Weights = npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class PreparedFold:
    """A fold as numbers.

    Attributes:
        transformer: What made the numbers; fitted.
        train: Numbers to learn from, (rows, columns), dense or sparse by rows.
        truth: Their truth.
        weights: Of the rows to learn from; None where all count alike.
        classes: Those that have rows to learn from, ascending; none where there are no classes.
        watched: Numbers of the rows that tell when to stop; None for none.
        watched_truth: Their truth.
    """

    transformer: Any
    train: Any
    truth: Truth
    weights: Weights
    classes: npt.NDArray[np.int64]
    watched: Any = None
    watched_truth: Truth | None = None

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.train.shape[1])

    @property
    def is_watched(self) -> bool:
        """Whether there are rows that tell when to stop."""
        return self.watched is not None

    def pipeline(self, estimator: Any) -> Pipeline:
        """Returns an estimator over data frames of one over numbers."""
        return chained(self.transformer, estimator)

    def label(self, position: int) -> Self:
        """Returns the fold with one of many labels as its truth."""
        watched = None if self.watched_truth is None else self.watched_truth[:, position]
        return replace(self, truth=self.truth[:, position], watched_truth=watched)

    def dense(self) -> Self:
        """Returns the fold for those who take no sparse numbers."""
        if not issparse(self.train):
            return self
        watched = None if self.watched is None else self.watched.toarray()
        return replace(self, train=self.train.toarray(), watched=watched)


def prepared_fold(
    problem: Problem, fold: Fold, configuration: Configuration, wanted: Wanted, seed: int
) -> PreparedFold:
    """Fits the preparation to the rows to learn from, and applies it to all.

    Watched rows of classes that were not learned are left out.
    """
    transformer = preparation(problem, configuration, wanted, seed)
    train = _numbers(transformer.fit_transform(fold.features, fold.truth))
    classes = _classes(problem, fold.truth)
    is_balanced = configuration.get("class_weight") == "balanced" and classes.size
    made = PreparedFold(
        transformer,
        train,
        fold.truth,
        balanced(fold.truth, fold.weights) if is_balanced else fold.weights,
        classes,
    )
    if fold.watched_features is None or fold.watched_truth is None:
        return made
    kept = np.flatnonzero(np.isin(fold.watched_truth, classes)) if classes.size else None
    truth = fold.watched_truth if kept is None else fold.watched_truth[kept]
    if len(truth) == 0:
        return made
    rows = fold.watched_features if kept is None else fold.watched_features.iloc[kept]
    watched = _numbers(transformer.transform(rows))
    return replace(made, watched=watched, watched_truth=truth)


def trees_per_round(problem: Problem) -> int:
    """Returns how many trees a round takes."""
    is_single = problem.kind in (ProblemKind.BINARY, ProblemKind.REGRESSION)
    return 1 if is_single else len(problem.outputs)


def prior(truth: Truth) -> DummyClassifier:
    """Returns what says how frequent classes are: where one class is all there is, it."""
    return DummyClassifier().fit(np.zeros((len(truth), 1)), truth)


def balanced(truth: Truth, weights: Weights) -> npt.NDArray[np.float64]:
    """Returns weights with which all classes that have rows count alike."""
    own = np.ones(len(truth)) if weights is None else weights
    positions = truth.astype(np.int64)
    sums = np.bincount(positions, own)
    present = np.count_nonzero(sums)
    found: npt.NDArray[np.float64] = own * (own.sum() / (present * sums[positions]))
    return found


def has_long_tail(problem: Problem) -> bool:
    """Whether the target is so skewed that its logarithm may be easier to learn."""
    if problem.kind is not ProblemKind.REGRESSION:
        return False
    truth = problem.truth.astype(np.float64)
    centred = truth - truth.mean()
    deviation = centred.std()
    if truth.min() < 0 or deviation == 0:
        return False
    return bool(np.mean((centred / deviation) ** 3) > 1)


def _numbers(found: Any) -> Any:
    if issparse(found):
        return csr_array(found)
    return np.ascontiguousarray(found)


def _classes(problem: Problem, truth: Truth) -> npt.NDArray[np.int64]:
    if not problem.kind.has_classes:
        return np.zeros(0, np.int64)
    return np.unique(truth.astype(np.int64))

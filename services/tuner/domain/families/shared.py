"""What families have in common: prepared rows, weights, labels one by one."""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline

from common.data.schema import Column, ColumnType
from common.scoring.kinds import TABLE_KINDS
from services.tuner.domain.families.family import Fitted, Fold, OutOfTimeError, TimeLeft
from services.tuner.domain.preparation.columns import MOST_CODES
from services.tuner.domain.preparation.parameters import INTERACTIONS
from services.tuner.domain.preparation.preparing import (
    Wanted,
    preparation,
    preparation_parameters,
)
from services.tuner.domain.problem import Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Parameter

Weights = npt.NDArray[np.float64]

ALL_KINDS = frozenset(TABLE_KINDS)
CLASS_KINDS = ALL_KINDS - {ProblemKind.REGRESSION}

_WORDS = 300
_FOLDS = 3


@dataclass(frozen=True)
class Lesson:
    """Prepared rows to learn from.

    Attributes:
        kind: Of the problem; `BINARY` where the labels of many are learned one by one.
        matrix: (rows, columns), dense or sparse.
        truth: (rows,), or (rows, labels).
        weights: Of the rows, 1 on average; None where all count alike.
        configuration: Of the family's space.
        seed: Of all chance.
        time_left: See `TimeLeft`.
        level: See `Problem`.
    """

    kind: ProblemKind
    matrix: Any
    truth: Truth
    weights: Weights | None
    configuration: Configuration
    seed: int
    time_left: TimeLeft
    level: float | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    @property
    def cells(self) -> int:
        """Numbers that are held."""
        return int(getattr(self.matrix, "nnz", self.size * self.width))


@dataclass(frozen=True)
class Learned:
    """What a lesson gave: `Fitted`, but over prepared rows."""

    model: Any
    settings: Configuration = field(default_factory=dict)
    is_cut_short: bool = False


Learn = Callable[[Lesson], Learned]


@dataclass(frozen=True)
class Call:
    """What `Family.fit` is called with."""

    problem: Problem
    fold: Fold
    configuration: Configuration
    seed: int
    time_left: TimeLeft


def fitted(call: Call, wanted: Wanted, learn: Learn, takes_labels: bool = False) -> Fitted:
    """Prepares the rows, learns, and returns both as one pipeline.

    Args:
        call: What is to be done.
        wanted: What the model takes.
        learn: Learns from prepared rows, of at least two classes.
        takes_labels: Whether it takes many labels at once; else one by one.

    Raises:
        OutOfTimeError: Nothing was learned in time.
    """
    transformer = preparation(call.problem, call.configuration, wanted, call.seed)
    with quiet():
        matrix = transformer.fit_transform(call.fold.features, call.fold.truth)
        lesson = Lesson(
            call.problem.kind,
            matrix,
            call.fold.truth,
            call.fold.weights,
            call.configuration,
            call.seed,
            call.time_left,
            call.problem.level,
        )
        if call.problem.kind is ProblemKind.MULTI_LABEL and not takes_labels:
            found = _by_label(lesson, learn)
        else:
            found = _taught(lesson, learn)
    return Fitted(chained(transformer, found.model), found.settings, found.is_cut_short)


def chained(*steps: Any) -> Pipeline:
    """Returns a pipeline of steps that are fitted, of which the last is the model."""
    names = [*(f"prepare_{index}" for index in range(len(steps) - 2)), "prepare", "model"]
    return Pipeline(list(zip(names, steps, strict=True)))


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps warnings back: what did not converge is judged by its score."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def thinned(lesson: Lesson, most: int) -> Lesson:
    """Returns a lesson of some rows, drawn at random, with every class among them."""
    if lesson.size <= most:
        return lesson
    order = np.random.default_rng(lesson.seed).permutation(lesson.size)
    kept = order[: max(most, 1)]
    if lesson.kind.has_classes:
        firsts = np.unique(lesson.truth[order], return_index=True)[1]
        kept = np.union1d(kept, order[firsts])
    rows = np.sort(kept)
    weights = None if lesson.weights is None else lesson.weights[rows]
    return replace(lesson, matrix=lesson.matrix[rows], truth=lesson.truth[rows], weights=weights)


def can_be_calibrated(lesson: Lesson) -> bool:
    """Whether there are rows enough of each class; see `calibrated`."""
    return bool(np.unique(lesson.truth, return_counts=True)[1].min() >= _FOLDS)


def calibrated(model: Any, lesson: Lesson) -> Any:
    """Fits a model so that its probabilities can be trusted, by scores of rows it did not see.

    By sigmoids (Platt 1999), of many classes by temperature (Guo et al. 2017). Where a class is
    too rare for that the probabilities are the model's own.
    """
    if can_be_calibrated(lesson):
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=lesson.seed)
        method = "sigmoid" if lesson.kind is ProblemKind.BINARY else "temperature"
        model = CalibratedClassifierCV(model, method=method, cv=folds, ensemble=False, n_jobs=1)
    return model.fit(lesson.matrix, lesson.truth, sample_weight=lesson.weights)


def class_weight_parameters(problem: Problem) -> tuple[Parameter, ...]:
    """Returns whether rare classes count as much as frequent ones, where there are classes."""
    if problem.kind is ProblemKind.REGRESSION:
        return ()
    return (Choice("class_weight", ("none", "balanced"), "none"),)


def matrix_parameters(problem: Problem, without: Collection[str] = ()) -> tuple[Parameter, ...]:
    """Returns what can be set of a matrix, but for products of columns and what else is named.

    Kernels and distances see columns together as it is.
    """
    left_out = {INTERACTIONS, *without}
    found = preparation_parameters(problem, Wanted.MATRIX)
    return tuple(each for each in found if each.name not in left_out)


def matrix_width(problem: Problem) -> int:
    """Returns about how many columns a prepared matrix has."""
    return max(sum(_width(column) for column in problem.columns), 1)


def kind_reason(kinds: frozenset[ProblemKind], problem: Problem) -> str:
    """Returns why a family does not learn a kind of problem; empty where it does."""
    return "" if problem.kind in kinds else f"It does not learn problems of kind {problem.kind}."


def target_count(problem: Problem) -> int:
    """Returns how many models are learned: one for each label of many, else one."""
    return len(problem.outputs) if problem.kind is ProblemKind.MULTI_LABEL else 1


def _width(column: Column) -> int:
    if column.type is ColumnType.CATEGORICAL:
        levels = max(column.distinct_count, len(column.categories), 2)
        return levels if levels <= MOST_CODES else 1
    return _WORDS if column.type is ColumnType.TEXT else 1


def _taught(lesson: Lesson, learn: Learn) -> Learned:
    if lesson.kind is ProblemKind.REGRESSION or lesson.truth.ndim > 1:
        return learn(replace(lesson, weights=_normal(lesson.weights)))
    if len(np.unique(lesson.truth)) < 2:
        return Learned(_prior(lesson))
    return learn(replace(lesson, weights=_class_weights(lesson)))


def _prior(lesson: Lesson) -> Any:
    return DummyClassifier().fit(lesson.matrix, lesson.truth, lesson.weights)


def _normal(weights: Weights | None) -> Weights | None:
    return None if weights is None else weights / weights.mean()


def _class_weights(lesson: Lesson) -> Weights | None:
    if lesson.configuration.get("class_weight", "none") != "balanced":
        return _normal(lesson.weights)
    weights = np.ones(lesson.size) if lesson.weights is None else lesson.weights
    totals = np.bincount(lesson.truth.astype(np.int64), weights)
    return _normal(weights / np.maximum(totals, 1e-12)[lesson.truth.astype(np.int64)])


def _by_label(lesson: Lesson, learn: Learn) -> Learned:
    """Learns labels one by one, each in its part of the time."""
    count = lesson.truth.shape[1]
    parts = [_label(lesson, learn, index, count) for index in range(count)]
    model = MultiOutputClassifier(DummyClassifier(), n_jobs=1)
    model.estimators_ = [part.model for part in parts]
    model.classes_ = [part.model.classes_ for part in parts]
    model.n_features_in_ = lesson.width
    return Learned(model, _agreed(parts), any(part.is_cut_short for part in parts))


def _label(lesson: Lesson, learn: Learn, index: int, count: int) -> Learned:
    kept = lesson.time_left() * (1 - 1 / (count - index))
    own = replace(
        lesson,
        kind=ProblemKind.BINARY,
        truth=lesson.truth[:, index].astype(np.int64),
        time_left=partial(_left_above, lesson.time_left, kept),
    )
    try:
        return _taught(own, learn)
    except OutOfTimeError:
        if not index:
            raise
        return Learned(_prior(own), is_cut_short=True)


def _left_above(time_left: TimeLeft, kept: float) -> float:
    return time_left() - kept


def _agreed(parts: Sequence[Learned]) -> Configuration:
    """Returns the settings of the label that needed most of each."""
    names = {name for part in parts for name in part.settings}
    return {
        name: max(part.settings[name] for part in parts if name in part.settings) for name in names
    }

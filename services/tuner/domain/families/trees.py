"""A decision tree, random forests and extremely randomised trees."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.data.schema import ColumnType
from services.tuner.domain.families.family import Fitted, Fold, OutOfTimeError, TimeLeft
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    Call,
    Learned,
    Lesson,
    class_weight_parameters,
    fitted,
    target_count,
    thinned,
)
from services.tuner.domain.preparation.preparing import Wanted, preparation_parameters
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space, joined

TREES = "trees"
"""The setting that says how many trees a forest has; `fit` reports it."""

# Of one fold's forest; the folds' forests together have trees enough.
_MOST_TREES, _LEAST_TREES = 200, 25
_MOST_BYTES = 36 * 2**20
_LEAST_SECONDS = 0.02
_SORTED_SECONDS, _DRAWN_SECONDS = 2.5e-8, 1e-8
_RESERVE = 0.8
_TEXT_COLUMNS = 64


class DecisionTree:
    """One tree: weak, quick, and what people can read."""

    name = "decision_tree"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns nothing: it is for any problem."""
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns how far it grows."""
        own = (
            _criterion(problem),
            Integer("max_depth", 2, 30, 10, is_log=True),
            Integer("min_samples_leaf", 1, 100, 10, is_log=True),
            *_class_parameters(problem, smoothing=1.0),
        )
        return joined(own, preparation_parameters(problem, Wanted.CODES))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of sorting each column at each depth."""
        return 0.05 + _tree_seconds(problem.row_count, _width(problem), _SORTED_SECONDS)

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Grows the tree, from as many rows as there is time for."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.CODES, _learn_tree, takes_labels=True)


@dataclass(frozen=True)
class Forest:
    """Many trees, of rows and columns drawn at random (Breiman 2001; Geurts et al. 2006).

    Attributes:
        name: See `Family.name`.
        classifier: Makes the estimator for classes and labels.
        regressor: Makes the estimator for values.
        draws_rows: Whether each tree has its own draw of the rows by default.
        seconds: Of one tree, for each row, column tried and depth.
    """

    name: str
    classifier: Callable[..., Any]
    regressor: Callable[..., Any]
    draws_rows: bool
    seconds: float

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """See `Family.kinds`."""
        return ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns nothing: it is for any problem."""
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns what is drawn for each tree, and how far it grows."""
        tried = 1.0 if problem.kind is ProblemKind.REGRESSION else "sqrt"
        own = (
            _criterion(problem),
            Choice("max_features", ("sqrt", "log2", 0.33, 0.5, 0.75, 1.0), tried),
            Integer("min_samples_leaf", 1, 20, 1, is_log=True),
            Choice("bootstrap", (False, True), self.draws_rows),
            Float("max_samples", 0.3, 1.0, 1.0, when=Condition("bootstrap", (True,))),
            *_class_parameters(problem, smoothing=0.0),
        )
        return joined(own, preparation_parameters(problem, Wanted.CODES))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of all trees."""
        tried = _tried(configuration.get("max_features", "sqrt"), _width(problem))
        trees = min(int(configuration.get(TREES, _MOST_TREES)), _expected_trees(problem))
        return 0.05 + trees * (_tree_seconds(problem.row_count, tried, self.seconds) + 1e-3)

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Grows trees in rounds, until there are enough or time ends."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.CODES, self._learn, takes_labels=True)

    def _learn(self, lesson: Lesson) -> Learned:
        some = _affordable(lesson, self.seconds)
        made = self.regressor if lesson.kind is ProblemKind.REGRESSION else self.classifier
        configuration = lesson.configuration
        has_draws = bool(configuration["bootstrap"])
        share = float(configuration.get("max_samples", 1.0))
        model = made(
            criterion=configuration["criterion"],
            max_features=configuration["max_features"],
            min_samples_leaf=int(configuration["min_samples_leaf"]),
            bootstrap=has_draws,
            max_samples=share if has_draws and share < 1 else None,
            warm_start=True,
            random_state=lesson.seed,
            n_jobs=1,
        )
        wanted = int(configuration.get(TREES, _MOST_TREES))
        grown, is_done = _grown(model, some, wanted)
        _smooth(model.estimators_, float(configuration.get("smoothing", 0.0)))
        return Learned(model, {TREES: grown}, not is_done or some.size < lesson.size)


RANDOM_FOREST = Forest(
    "random_forest", RandomForestClassifier, RandomForestRegressor, True, _SORTED_SECONDS
)
EXTRA_TREES = Forest(
    "extra_trees", ExtraTreesClassifier, ExtraTreesRegressor, False, _DRAWN_SECONDS
)


def _criterion(problem: Problem) -> Parameter:
    if problem.kind is ProblemKind.REGRESSION:
        return Choice("criterion", ("squared_error",), "squared_error")
    return Choice("criterion", ("gini", "log_loss"), "gini")


def _class_parameters(problem: Problem, smoothing: float) -> tuple[Parameter, ...]:
    """Returns smoothing, and weights of classes but for many labels: a row has one weight."""
    if problem.kind is ProblemKind.REGRESSION:
        return ()
    weights = class_weight_parameters(problem) if problem.kind.has_classes else ()
    return (Choice("smoothing", (0.0, 0.1, 0.3, 1.0, 3.0), smoothing), *weights)


def _width(problem: Problem) -> int:
    return len(problem.columns) + _TEXT_COLUMNS * len(problem.names(ColumnType.TEXT))


def _expected_trees(problem: Problem) -> int:
    """Returns how many trees are likely to fit into memory; see `_fitting_trees`."""
    is_value = problem.kind is ProblemKind.REGRESSION
    nodes = max((1.3 if is_value else 0.3) * problem.row_count, 1)
    outputs = 2 * target_count(problem) if not problem.kind.has_classes else len(problem.outputs)
    return max(int(_MOST_BYTES / (nodes * (64 + 8 * outputs))), _LEAST_TREES)


def _tried(setting: object, columns: int) -> float:
    if setting == "sqrt":
        return float(np.sqrt(columns))
    if setting == "log2":
        return float(np.log2(columns + 1))
    return max(float(str(setting)) * columns, 1.0)


def _tree_seconds(rows: int, tried: float, seconds: float) -> float:
    return rows * float(np.log2(rows + 2)) * tried * seconds


def _affordable(lesson: Lesson, seconds: float) -> Lesson:
    """Returns a lesson of so many rows that there is time for some trees."""
    left = lesson.time_left()
    if left < _LEAST_SECONDS:
        raise OutOfTimeError
    tried = _tried(lesson.configuration.get("max_features", 1.0), lesson.width)
    one = _tree_seconds(lesson.size, tried, seconds)
    return thinned(lesson, int(max(lesson.size * 0.1 * left / one, 100)))


def _learn_tree(lesson: Lesson) -> Learned:
    some = _affordable(lesson, _SORTED_SECONDS)
    is_value = lesson.kind is ProblemKind.REGRESSION
    model = (DecisionTreeRegressor if is_value else DecisionTreeClassifier)(
        criterion=lesson.configuration["criterion"],
        max_depth=int(lesson.configuration["max_depth"]),
        min_samples_leaf=int(lesson.configuration["min_samples_leaf"]),
        random_state=lesson.seed,
    ).fit(some.matrix, some.truth, sample_weight=some.weights)
    _smooth([model], float(lesson.configuration.get("smoothing", 0.0)))
    return Learned(model, is_cut_short=some.size < lesson.size)


def _grown(model: Any, lesson: Lesson, wanted: int) -> tuple[int, bool]:
    """Grows trees; returns how many, and whether time did not end before."""
    begun, grown, step = time.monotonic(), 0, 1
    while True:
        model.set_params(n_estimators=grown + step)
        model.fit(lesson.matrix, lesson.truth, sample_weight=lesson.weights)
        grown += step
        wanted = min(wanted, _fitting_trees(model))
        if grown >= wanted:
            return grown, True
        each = (time.monotonic() - begun) / grown
        affordable = int(_RESERVE * lesson.time_left() / each)
        if affordable < 1:
            return grown, False
        step = min(wanted - grown, 2 * grown, affordable)


def _fitting_trees(model: Any) -> int:
    """Returns how many trees fit into memory."""
    tree = model.estimators_[-1].tree_
    size = tree.node_count * (64 + 8 * tree.value.shape[1] * tree.value.shape[2])
    return max(_MOST_BYTES // int(size), _LEAST_TREES)


def _smooth(trees: Sequence[Any], rows: float) -> None:
    """Adds to each leaf some rows that say what all say (m-estimates; Cestnik 1990)."""
    if not rows:
        return
    for each in trees:
        values, sizes = each.tree_.value, each.tree_.weighted_n_node_samples[:, None, None]
        values[:] = (values * sizes + rows * values[0]) / (sizes + rows)

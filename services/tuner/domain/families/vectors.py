"""Support vector machines, and linear models over landmarks where rows are many."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from services.tuner.domain.families.family import Fitted, Fold, OutOfTimeError, TimeLeft
from services.tuner.domain.families.linear import logistic, ridge
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    Call,
    Learned,
    Lesson,
    calibrated,
    can_be_calibrated,
    chained,
    class_weight_parameters,
    fitted,
    matrix_parameters,
    matrix_width,
    target_count,
    thinned,
)
from services.tuner.domain.preparation.preparing import Wanted
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space, joined

_MOST_ROWS, _MOST_WIDTH = 5_000, 5_000
_PAIR_SECONDS, _PAIR_CELL_SECONDS = 2e-8, 3e-9
_CALIBRATIONS = 2.5  # fits of all rows that calibrating comes to, with the model's own
_LEAST_SECONDS = 0.02
_LANDMARK_SECONDS = 3e-9
_MACHINE, _LANDMARKS = "machine", "landmarks"


class SupportVectors:
    """Radial kernels: a support vector machine, or landmarks (Williams and Seeger 2001)."""

    name = "support_vectors"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns why it is not for very wide tables."""
        width = matrix_width(problem)
        if width > _MOST_WIDTH:
            return f"Kernels are slow over {width} columns; the most is {_MOST_WIDTH}."
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns the width of the kernel and the penalty."""
        own = (*_way(problem), _GAMMA, *_strengths(problem), *class_weight_parameters(problem))
        return joined(own, matrix_parameters(problem))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of all pairs of rows, or of rows with landmarks."""
        rows, targets = problem.row_count, target_count(problem)
        if configuration.get("way") == _MACHINE:
            fits = 1.0 if problem.kind is ProblemKind.REGRESSION else _CALIBRATIONS
            return 0.05 + fits * targets * _machine_seconds(rows, matrix_width(problem))
        landmarks = int(configuration.get("landmarks", 500))
        is_value = problem.kind is ProblemKind.REGRESSION
        passes = landmarks / 2 if is_value else 12 * max(len(problem.class_counts), 2 * targets)
        return 0.1 + rows * landmarks * passes * _LANDMARK_SECONDS

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Learns from all rows, or from as many as there is time for."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.MATRIX, _learn)


_GAMMA = Float("gamma", 0.01, 20.0, 1.0, is_log=True)
"""Of the kernel, times what scikit-learn calls `scale`."""


def _way(problem: Problem) -> tuple[Parameter, ...]:
    """Returns the ways that there are: a machine first for values, landmarks first for classes.

    Logistic regression over landmarks is what makes good probabilities.
    """
    ways = (_LANDMARKS, _MACHINE) if problem.row_count <= _MOST_ROWS else (_LANDMARKS,)
    default = _MACHINE if problem.kind is ProblemKind.REGRESSION else _LANDMARKS
    landmarks = Integer("landmarks", 50, 1000, 500, True, when=Condition("way", (_LANDMARKS,)))
    return (Choice("way", ways, default if default in ways else ways[0]), landmarks)


def _strengths(problem: Problem) -> tuple[Parameter, ...]:
    return (*_machine_strengths(problem), *_landmark_strengths(problem))


def _machine_strengths(problem: Problem) -> tuple[Parameter, ...]:
    if problem.row_count > _MOST_ROWS:
        return ()
    is_machine = Condition("way", (_MACHINE,))
    if problem.kind is not ProblemKind.REGRESSION:
        return (Float("C", 0.05, 1e3, 3.0, is_log=True, when=is_machine),)
    return (
        Float("C", 0.1, 1e3, 10.0, is_log=True, when=is_machine),
        Float("epsilon", 1e-3, 0.5, 0.05, is_log=True, when=is_machine),
    )


def _landmark_strengths(problem: Problem) -> tuple[Parameter, ...]:
    if problem.kind is ProblemKind.REGRESSION:
        return ()
    return (Float("strength", 0.1, 1e4, 10.0, True, when=Condition("way", (_LANDMARKS,))),)


def _machine_seconds(rows: int, width: int) -> float:
    return rows**2 * (_PAIR_SECONDS + _PAIR_CELL_SECONDS * width)


def _learn(lesson: Lesson) -> Learned:
    if lesson.configuration["way"] == _LANDMARKS:
        return _landmarks(lesson)
    if lesson.kind is ProblemKind.REGRESSION:
        return _timed(lesson, 1.0, _value_machine)
    if can_be_calibrated(lesson):
        return _timed(lesson, _CALIBRATIONS, _class_machine)
    return _landmarks(lesson)


def _timed(lesson: Lesson, fits: float, learn: Callable[[Lesson], Any]) -> Learned:
    """Learns from as many rows as there is time for."""
    if lesson.time_left() < _LEAST_SECONDS:
        raise OutOfTimeError
    seconds = fits * _machine_seconds(lesson.size, lesson.width)
    share = min(1.0, float(np.sqrt(0.5 * lesson.time_left() / seconds)))
    some = thinned(lesson, int(min(share * lesson.size, 2 * _MOST_ROWS)))
    return Learned(learn(some), is_cut_short=some.size < lesson.size)


def _class_machine(lesson: Lesson) -> Any:
    strength = float(lesson.configuration["C"])
    return calibrated(SVC(C=strength, gamma=_gamma(lesson), random_state=lesson.seed), lesson)


def _value_machine(lesson: Lesson) -> Any:
    strength, epsilon = (float(lesson.configuration[name]) for name in ("C", "epsilon"))
    machine = SVR(C=strength, epsilon=epsilon, gamma=_gamma(lesson))
    model = TransformedTargetRegressor(machine, transformer=StandardScaler())
    return model.fit(lesson.matrix, lesson.truth, sample_weight=lesson.weights)


def _landmarks(lesson: Lesson) -> Learned:
    count = min(int(lesson.configuration.get("landmarks", 500)), lesson.size)
    kernel = Nystroem(
        gamma=_gamma(lesson), n_components=count, random_state=lesson.seed, n_jobs=1
    ).fit(lesson.matrix)
    near = replace(lesson, matrix=kernel.transform(lesson.matrix))
    if lesson.kind is ProblemKind.REGRESSION:
        return Learned(chained(kernel, ridge(near)))
    found = logistic(near, float(lesson.configuration.get("strength", 10.0)))
    return Learned(chained(kernel, found.model), is_cut_short=found.is_cut_short)


def _gamma(lesson: Lesson) -> float:
    matrix = lesson.matrix
    if issparse(matrix):
        variance = matrix.multiply(matrix).mean() - matrix.mean() ** 2
    else:
        variance = matrix.var()
    return float(lesson.configuration["gamma"]) / (lesson.width * max(float(variance), 1e-9))

"""Gaussian processes."""

import contextlib
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from common.data.schema import ColumnType
from services.tuner.domain.families.family import Fitted, Fold, OutOfTimeError, TimeLeft
from services.tuner.domain.families.shared import (
    Call,
    Learned,
    Lesson,
    fitted,
    kind_reason,
    matrix_parameters,
    matrix_width,
    thinned,
)
from services.tuner.domain.preparation.parameters import (
    HIGH_CARDINALITY,
    LEAST_ROWS,
    MOST_LEVELS,
)
from services.tuner.domain.preparation.preparing import Wanted
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice
from services.tuner.domain.space.space import Space, joined

_MOST_ROWS, _KEPT_ROWS, _SHAPED_ROWS = 20_000, 3_000, 256
_MOST_WIDTH, _MOST_INDICATORS, _MOST_SCALES = 2_000, 100, 30
_SPARSE = (HIGH_CARDINALITY, MOST_LEVELS, LEAST_ROWS)  # what may make a matrix sparse
_STEPS = 30
_STEP_SECONDS, _SCALE_SECONDS = 0.012, 0.003  # of so many rows as `_SHAPED_ROWS`
_CUBE_SECONDS = 3e-11
_LEAST_SECONDS = 0.05
_LEAST_NOISE, _LEAST_WEIGHT = 1e-6, 1e-3


class GaussianProcess:
    """A Gaussian process; its kernel is fitted to some hundred rows, then it takes thousands."""

    name = "gaussian_process"
    kinds = frozenset({ProblemKind.REGRESSION})

    def fits(self, problem: Problem) -> str:
        """Returns why it is not for classes, nor for large tables."""
        if problem.row_count > _MOST_ROWS:
            return f"It learns from {_KEPT_ROWS} rows, too few of {problem.row_count}."
        labels = problem.names(ColumnType.CATEGORICAL, ColumnType.TEXT)
        if labels and matrix_width(problem.with_columns(labels)) > _MOST_INDICATORS:
            return f"Categories and texts would make more than {_MOST_INDICATORS} columns."
        if matrix_width(problem) > _MOST_WIDTH:
            return f"Its kernel is slow over more than {_MOST_WIDTH} columns."
        return kind_reason(self.kinds, problem)

    def space(self, problem: Problem) -> Space:
        """Returns how smooth it is, and whether each column has a length of its own."""
        scales = (False, True) if matrix_width(problem) <= _MOST_SCALES else (False,)
        own = (
            Choice("kernel", ("matern_1.5", "matern_2.5", "rbf"), "matern_1.5"),
            Choice("separate_lengths", scales, scales[-1]),
        )
        return joined(own, matrix_parameters(problem, _SPARSE))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of fitting the kernel and of taking the rows."""
        scales = matrix_width(problem) if configuration.get("separate_lengths") else 1
        shaped = (min(problem.row_count, _SHAPED_ROWS) / _SHAPED_ROWS) ** 2
        steps = _STEPS * (_STEP_SECONDS + scales * _SCALE_SECONDS) * shaped
        return 0.1 + steps + min(problem.row_count, _KEPT_ROWS) ** 3 * _CUBE_SECONDS

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Fits the kernel, then takes as many rows as there is time for."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.MATRIX, _learn)


def _learn(lesson: Lesson) -> Learned:
    if lesson.time_left() < _LEAST_SECONDS:
        raise OutOfTimeError
    kernel, noise = _shaped(thinned(lesson, _SHAPED_ROWS))
    affordable = int((0.5 * max(lesson.time_left(), 0.01) / _CUBE_SECONDS) ** (1 / 3))
    rows = thinned(lesson, min(_KEPT_ROWS, affordable))
    weights = np.ones(rows.size) if rows.weights is None else rows.weights
    model = GaussianProcessRegressor(
        kernel,
        alpha=max(noise, _LEAST_NOISE) / np.maximum(weights, _LEAST_WEIGHT),
        optimizer=None,
        normalize_y=True,
    ).fit(rows.matrix, rows.truth)
    # Only the spread of predictions needs these, which are as large as the square of the rows.
    model.L_ = np.zeros((0, 0))
    model.alpha = noise
    return Learned(model, is_cut_short=rows.size < min(lesson.size, _KEPT_ROWS))


def _shaped(lesson: Lesson) -> tuple[Any, float]:
    """Returns a kernel whose lengths suit some rows, and the noise beside it."""
    steps = partial(_minimum, lesson=lesson, until=0.5 * lesson.time_left())
    kernel = _kernel(lesson) + WhiteKernel(0.1, (1e-5, 10.0))
    model = GaussianProcessRegressor(kernel, optimizer=steps, normalize_y=True)
    model.fit(lesson.matrix, lesson.truth)
    return model.kernel_.k1, float(model.kernel_.k2.noise_level)


def _kernel(lesson: Lesson) -> Any:
    separate = bool(lesson.configuration["separate_lengths"]) and lesson.width <= _MOST_SCALES
    length = np.full(lesson.width if separate else 1, np.sqrt(lesson.width))
    bounds = (0.05, 1e3)
    name, _, smoothness = str(lesson.configuration["kernel"]).partition("_")
    own = Matern(length, bounds, float(smoothness)) if name == "matern" else RBF(length, bounds)
    return ConstantKernel(1.0, (1e-2, 1e4)) * own


def _minimum(
    objective: Any,
    start: npt.NDArray[np.float64],
    bounds: npt.NDArray[np.float64],
    *,
    lesson: Lesson,
    until: float,
) -> tuple[npt.NDArray[np.float64], float]:
    """Returns where an objective is least, as far as it is known when time ends."""
    best = start, float("inf")

    def seen(at: npt.NDArray[np.float64]) -> Any:
        nonlocal best
        value, slope = objective(at, eval_gradient=True)
        if value < best[1]:
            best = at.copy(), float(value)
        if lesson.time_left() < until:
            raise OutOfTimeError
        return value, slope

    with contextlib.suppress(OutOfTimeError):
        minimize(
            seen, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
    return best

"""Linear models: logistic regression, ridge, elastic net and quantile regression."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import ElasticNet, LogisticRegression, QuantileRegressor, Ridge, RidgeCV
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    Call,
    Learned,
    Lesson,
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
from services.tuner.domain.space.parameter import Choice, Condition, Float, Parameter
from services.tuner.domain.space.space import Space, joined

_MOST_CROSSED = 40
_CELL_SECONDS = 3e-9  # of one pass over the matrix, for each number in it
_PASSES, _MOST_PASSES = 100, 2_000
_EIGEN_SECONDS = 1.5e-9
_ALPHAS = np.logspace(-3, 5, 25)
_QUANTILE = "quantile"
_QUANTILE_SECONDS = 2e-8  # for each column and pair of rows
_MOST_QUANTILE_SECONDS = 2.0
_FEWEST_ROWS = 100
_STRENGTH = 1e-2
_ELASTIC = Condition("penalty", ("elastic_net",))
_PENALIZED = Condition("penalty", ("elastic_net", _QUANTILE))
_CROSSING = Condition("penalty", ("ridge", "elastic_net"))


class Linear:
    """Logistic regression, label by label where there are many; ridge or elastic net of values.

    Of few values, where a quantile is wanted, it is quantile regression.
    """

    name = "linear"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns nothing: it is for any problem."""
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns penalty, its strength, and whether columns are multiplied with each other."""
        if problem.kind is ProblemKind.REGRESSION:
            own = _value_parameters(problem)
        else:
            own = (*_class_parameters(), *class_weight_parameters(problem))
        if matrix_width(problem) <= _MOST_CROSSED:
            crossing = _CROSSING if _learns_quantile(problem) else None
            own = (*own, Choice("interactions", (False, True), False, when=crossing))
        return joined(own, matrix_parameters(problem))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of some passes over the matrix for each output."""
        width = matrix_width(problem)
        if configuration.get("interactions", False):
            width += width * (width + 1) // 2
        cells = problem.row_count * width
        if configuration.get("penalty") == _QUANTILE:
            return 0.05 + _quantile_seconds(problem.row_count, width)
        if problem.kind is ProblemKind.REGRESSION:
            return 0.05 + cells * min(width, problem.row_count) * _EIGEN_SECONDS
        outputs = max(len(problem.class_counts), 2 * target_count(problem))
        passes = _PASSES if configuration.get("penalty", "l2") == "l2" else 5 * _PASSES
        return 0.05 + cells * outputs * passes * _CELL_SECONDS / 2

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Learns in rounds, until it converges or time ends."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.MATRIX, _learn)


def logistic(lesson: Lesson, strength: float, l1_ratio: float = 0.0) -> Learned:
    """Fits logistic regression in rounds of some passes, until it converges or time ends.

    Args:
        lesson: Of two classes or more.
        strength: Inverse of the penalty's.
        l1_ratio: Part of the penalty that is on absolute values.
    """
    outputs = int(lesson.truth.max()) + 1
    pass_seconds = _CELL_SECONDS * lesson.cells * outputs + 1e-5
    most = int(lesson.size * lesson.time_left() / (25 * pass_seconds))
    is_whole = most >= lesson.size
    lesson = thinned(lesson, max(most, 1000))
    passes = int(np.clip(0.4 * lesson.time_left() / pass_seconds, 5, _PASSES))
    model = LogisticRegression(
        C=strength,
        l1_ratio=l1_ratio,
        solver="saga" if l1_ratio else "lbfgs",
        tol=1e-3 if l1_ratio else 1e-4,
        max_iter=passes,
        warm_start=True,
        random_state=lesson.seed,
    )
    has_converged = _converged(model, lesson, passes)
    return Learned(model, is_cut_short=not (has_converged and is_whole))


def ridge(lesson: Lesson) -> Any:
    """Fits ridge regression, its penalty chosen by leaving each row out (Golub et al. 1979)."""
    seconds = lesson.size * lesson.width * min(lesson.size, lesson.width) * _EIGEN_SECONDS
    if seconds < 0.4 * lesson.time_left():
        model = RidgeCV(_ALPHAS)
    else:
        passes = 0.4 * lesson.time_left() / (_CELL_SECONDS * lesson.cells)
        model = Ridge(solver="lsqr", max_iter=int(np.clip(passes, 5, 500)))
    return model.fit(lesson.matrix, lesson.truth, sample_weight=lesson.weights)


def _class_parameters() -> tuple[Parameter, ...]:
    return (
        Choice("penalty", ("l2", "l1", "elastic_net"), "l2"),
        Float("C", 1e-4, 1e3, 1.0, is_log=True),
        Float("l1_ratio", 0.05, 0.95, 0.5, when=_ELASTIC),
    )


def _value_parameters(problem: Problem) -> tuple[Parameter, ...]:
    names: tuple[str, ...] = ("ridge", "elastic_net")
    strength = _ELASTIC
    if _learns_quantile(problem):
        names, strength = (_QUANTILE, *names), _PENALIZED
    return (
        Choice("penalty", names, names[0]),
        Float("strength", 1e-4, 0.5, _STRENGTH, is_log=True, when=strength),
        Float("l1_ratio", 0.05, 1.0, 0.5, when=_ELASTIC),
    )


def _learns_quantile(problem: Problem) -> bool:
    """Whether a quantile is wanted, of a table where that takes no longer than other families."""
    seconds = _quantile_seconds(problem.row_count, matrix_width(problem))
    return problem.level is not None and seconds <= _MOST_QUANTILE_SECONDS


def _quantile_seconds(rows: int, width: int) -> float:
    return rows**2 * width * _QUANTILE_SECONDS


def _learn(lesson: Lesson) -> Learned:
    if not lesson.configuration.get("interactions", False) or lesson.width > _MOST_CROSSED:
        return _learn_plain(lesson)
    crossed = PolynomialFeatures(2, include_bias=False)
    scaler = StandardScaler(with_mean=False)
    matrix = scaler.fit_transform(crossed.fit_transform(lesson.matrix))
    found = _learn_plain(replace(lesson, matrix=matrix))
    return replace(found, model=chained(crossed, scaler, found.model))


def _learn_plain(lesson: Lesson) -> Learned:
    configuration = lesson.configuration
    if lesson.kind is ProblemKind.REGRESSION:
        if configuration["penalty"] == _QUANTILE:
            return _quantile(lesson)
        is_ridge = configuration["penalty"] == "ridge"
        return Learned(ridge(lesson)) if is_ridge else _elastic_net(lesson)
    ratios = {"l2": 0.0, "l1": 1.0}
    ratio = ratios.get(str(configuration["penalty"]), configuration.get("l1_ratio", 0.5))
    return logistic(lesson, float(configuration["C"]), float(ratio))


def _converged(model: Any, lesson: Lesson, passes: int) -> bool:
    """Fits in rounds; returns whether it converged before time ended."""
    done = 0
    while done < _MOST_PASSES:
        begun = time.monotonic()
        model.fit(lesson.matrix, lesson.truth, sample_weight=lesson.weights)
        done += passes
        if model.n_iter_.max() < passes:
            return True
        if 1.5 * (time.monotonic() - begun) > lesson.time_left():
            return False
    return True


def _elastic_net(lesson: Lesson) -> Learned:
    """Fits an elastic net whose penalty is told as a share of what makes all weights zero."""
    ratio, strength = (float(lesson.configuration[name]) for name in ("l1_ratio", "strength"))
    truth = lesson.truth.astype(np.float64)
    middle, spread = np.average(truth, weights=lesson.weights), float(truth.std())
    scaled = (truth - middle) / (spread or 1.0)
    most = float(np.abs(lesson.matrix.T @ scaled).max()) / lesson.size / ratio
    passes = int(np.clip(0.2 * lesson.time_left() / (_CELL_SECONDS * lesson.cells), 5, 2000))
    model = ElasticNet(max(strength * most, 1e-9), l1_ratio=ratio, max_iter=passes, tol=1e-4)
    model.fit(lesson.matrix, scaled, sample_weight=lesson.weights)
    model.coef_, model.intercept_ = model.coef_ * spread, model.intercept_ * spread + middle
    return Learned(model, is_cut_short=model.n_iter_ >= passes)


def _quantile(lesson: Lesson) -> Learned:
    """Fits a quantile (Koenker and Bassett 1978); the penalty is told as an elastic net's is."""
    level = lesson.level
    assert level is not None, "no quantile is wanted"
    strength = float(lesson.configuration.get("strength", _STRENGTH))
    pairs = 0.5 * lesson.time_left() / (_QUANTILE_SECONDS * lesson.width)
    some = thinned(lesson, max(int(np.sqrt(max(pairs, 0.0))), _FEWEST_ROWS))
    truth = some.truth.astype(np.float64)
    middle, spread = float(np.quantile(truth, level)), float(truth.std()) or 1.0
    slopes = np.where(truth > middle, level, level - 1)
    most = float(np.abs(some.matrix.T @ slopes).max()) / some.size
    model = QuantileRegressor(quantile=level, alpha=strength * most, solver="highs")
    model.fit(some.matrix, (truth - middle) / spread, sample_weight=some.weights)
    model.coef_, model.intercept_ = model.coef_ * spread, model.intercept_ * spread + middle
    return Learned(model, is_cut_short=some is not lesson)

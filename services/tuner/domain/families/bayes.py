"""Naive Bayes: columns as if they did not depend on each other."""

from typing import Any

from scipy.sparse import issparse
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MinMaxScaler

from common.data.schema import ColumnType
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.shared import (
    CLASS_KINDS,
    Call,
    Learned,
    Lesson,
    calibrated,
    class_weight_parameters,
    fitted,
    kind_reason,
    matrix_parameters,
    matrix_width,
    target_count,
)
from services.tuner.domain.preparation.preparing import Wanted
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float
from services.tuner.domain.space.space import Space, joined

_CELL_SECONDS = 3e-8


class NaiveBayes:
    """Naive Bayes, calibrated: by itself it is far too sure."""

    name = "naive_bayes"
    kinds = CLASS_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns why it is not for a regression."""
        return kind_reason(self.kinds, problem)

    def space(self, problem: Problem) -> Space:
        """Returns how values are taken to be spread, and how much that is smoothed."""
        default = "complement" if problem.names(ColumnType.TEXT) else "gaussian"
        own = (
            Choice("spread", ("gaussian", "bernoulli", "complement"), default),
            Float("var_smoothing", 1e-9, 1.0, 1e-3, True, when=Condition("spread", ("gaussian",))),
            Float("alpha", 1e-3, 10.0, 0.5, True, when=_COUNTED),
            *class_weight_parameters(problem),
        )
        return joined(own, matrix_parameters(problem))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of a few passes over the matrix."""
        cells = problem.row_count * matrix_width(problem)
        return 0.05 + cells * target_count(problem) * _CELL_SECONDS

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Counts."""
        return fitted(Call(problem, fold, configuration, seed, time_left), Wanted.MATRIX, _learn)


_COUNTED = Condition("spread", ("bernoulli", "complement"))


def _learn(lesson: Lesson) -> Learned:
    return Learned(calibrated(_model(lesson), lesson))


def _model(lesson: Lesson) -> Any:
    spread, is_sparse = lesson.configuration["spread"], issparse(lesson.matrix)
    alpha = float(lesson.configuration.get("alpha", 0.5))
    if spread == "gaussian" and not is_sparse:
        return GaussianNB(var_smoothing=float(lesson.configuration["var_smoothing"]))
    if spread == "complement":
        # Both make numbers of either sign what it takes: none below zero.
        scaler = Binarizer() if is_sparse else MinMaxScaler(clip=True)
        return make_pipeline(scaler, ComplementNB(alpha=alpha))
    return BernoulliNB(alpha=alpha)

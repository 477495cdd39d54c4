"""Nearest neighbours."""

from common.models.estimators.neighbours import NeighboursClassifier, NeighboursRegressor
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    Call,
    Learned,
    Lesson,
    fitted,
    matrix_parameters,
    matrix_width,
    thinned,
)
from services.tuner.domain.preparation.preparing import Wanted
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Integer
from services.tuner.domain.space.space import Space, joined

_MOST_ROWS, _MOST_CELLS = 50_000, 5_000_000
_MOST_WIDTH = 2_000
_CELL_SECONDS = {"manhattan": 1e-9}
_BLAS_SECONDS = 2e-10


class NearestNeighbours:
    """Votes of the nearest rows; of many rows only some are kept."""

    name = "nearest_neighbours"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns why it is not for very wide tables."""
        width = matrix_width(problem)
        if width > _MOST_WIDTH:
            return f"Distances say little in {width} columns; the most is {_MOST_WIDTH}."
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns how many neighbours vote, how near is told, and how votes count."""
        smoothed = () if problem.kind is ProblemKind.REGRESSION else (_SMOOTHING,)
        return joined(_OWN, smoothed, matrix_parameters(problem))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of finding the neighbours of as many rows as an eighth."""
        width = matrix_width(problem)
        pairs = problem.row_count / 8 * min(problem.row_count, _most_rows(width))
        seconds = _CELL_SECONDS.get(str(configuration.get("metric")), _BLAS_SECONDS)
        return 0.05 + pairs * (width * seconds + 1e-9)

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Keeps the rows, or some."""
        call = Call(problem, fold, configuration, seed, time_left)
        return fitted(call, Wanted.MATRIX, _learn, takes_labels=True)


_OWN = (
    Integer("neighbours", 1, 100, 15, is_log=True),
    Choice("weighting", ("distance", "uniform"), "distance"),
    Choice("metric", ("euclidean", "manhattan", "cosine"), "euclidean"),
)
_SMOOTHING = Float("smoothing", 0.01, 5.0, 0.5, is_log=True)


def _most_rows(width: int) -> int:
    return min(_MOST_ROWS, _MOST_CELLS // width)


def _learn(lesson: Lesson) -> Learned:
    lesson = thinned(lesson, _most_rows(lesson.width))
    is_value = lesson.kind is ProblemKind.REGRESSION
    model = (NeighboursRegressor if is_value else NeighboursClassifier)(
        int(lesson.configuration["neighbours"]),
        str(lesson.configuration["metric"]),
        str(lesson.configuration["weighting"]),
        float(lesson.configuration.get("smoothing", 0.0)),
    )
    return Learned(model.fit(lesson.matrix, lesson.truth, lesson.weights))

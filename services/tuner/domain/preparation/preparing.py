"""From columns as they are to numbers that estimators take."""

from enum import StrEnum
from typing import Any

from common.data.schema import Column, ColumnType
from common.models.estimators.chain import Chain
from common.models.estimators.scaled_matrix import ScaledMatrix
from common.models.estimators.table_codes import TableCodes
from common.models.estimators.target_codes import TargetCodes
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Parameter

MOST_CODES = 250
"""Categories with more levels have no codes of their own: histograms have 255 bins."""


class Wanted(StrEnum):
    """What a family takes."""

    CODES = "codes"
    """Numbers with NaN, categories as codes in columns of their own: for trees and boosting."""
    MATRIX = "matrix"
    """Numbers without NaN, of like scale, dense or sparse: for all others."""


def preparation_parameters(problem: Problem, wanted: Wanted) -> tuple[Parameter, ...]:
    """Returns what can be set of the preparation; names begin with `prepare.`."""
    return ()


def preparation(problem: Problem, configuration: Configuration, wanted: Wanted, seed: int) -> Any:
    """Returns a transformer that is not fitted, over `Problem.features`.

    It can be fitted with a target (`fit_transform(features, truth)`), which target encodings need.
    """
    numbers = problem.names(ColumnType.NUMERIC, ColumnType.BOOLEAN)
    few, many = few_levels(problem), many_levels(problem)
    codes = TableCodes(numbers, few, many, problem.names(ColumnType.TIMESTAMP))
    parts: list[Any] = [codes]
    start = len(numbers)
    if many:
        positions = list(range(start + len(few), start + len(few) + len(many)))
        target = TargetCodes(positions, problem.kind.has_classes, seed=seed)
        parts.append(target)
    if wanted is Wanted.MATRIX:
        parts.append(ScaledMatrix(list(range(start, start + len(few)))))
    return Chain(parts)


def category_positions(problem: Problem, configuration: Configuration) -> list[int]:
    """Returns which columns of `Wanted.CODES` hold codes of categories without order."""
    start = len(problem.names(ColumnType.NUMERIC, ColumnType.BOOLEAN))
    return list(range(start, start + len(few_levels(problem))))


def few_levels(problem: Problem) -> list[str]:
    """Returns the names of the categories that have codes of their own."""
    return [each.name for each in _categories(problem) if _levels(each) <= MOST_CODES]


def many_levels(problem: Problem) -> list[str]:
    """Returns the names of the other categories."""
    return [each.name for each in _categories(problem) if _levels(each) > MOST_CODES]


def _categories(problem: Problem) -> list[Column]:
    return [each for each in problem.columns if each.type is ColumnType.CATEGORICAL]


def _levels(column: Column) -> int:
    return max(len(column.categories), column.distinct_count)

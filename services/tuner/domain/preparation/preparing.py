"""From columns as they are to numbers that estimators take."""

from enum import StrEnum
from typing import Any

from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Parameter


class Wanted(StrEnum):
    """What a family takes."""

    CODES = "codes"
    """Numbers with NaN, categories as codes in columns of their own: for trees and boosting."""
    MATRIX = "matrix"
    """Numbers without NaN, of like scale, dense or sparse: for all others."""


def preparation_parameters(problem: Problem, wanted: Wanted) -> tuple[Parameter, ...]:
    """Returns what can be set of the preparation; names begin with `prepare.`."""
    raise NotImplementedError


def preparation(problem: Problem, configuration: Configuration, wanted: Wanted, seed: int) -> Any:
    """Returns a transformer that is not fitted, over `Problem.features`.

    It can be fitted with a target (`fit_transform(features, truth)`), which target encodings need.
    """
    raise NotImplementedError


def category_positions(problem: Problem, configuration: Configuration) -> list[int]:
    """Returns which columns of `Wanted.CODES` hold codes of categories without order."""
    raise NotImplementedError

"""Outputs of candidates as features of others."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from common.data.schema import Column, ColumnType
from services.tuner.domain.problem import Outputs, Problem


def stacked_names(candidate: int, count: int) -> list[str]:
    """Returns the names of the columns that hold the outputs of a candidate."""
    return [f"__candidate_{candidate}_{position}" for position in range(count)]


def stacked_problem(problem: Problem, outputs: Mapping[int, Outputs]) -> Problem:
    """Returns a problem with the outputs of candidates as numeric columns after its own.

    Args:
        problem: The problem.
        outputs: For each candidate's number an array (rows, columns); NaN where a row has none.
    """
    if not outputs:
        return problem
    frames = [
        pd.DataFrame(each, problem.features.index, stacked_names(number, each.shape[1]))
        for number, each in outputs.items()
    ]
    names = [str(name) for frame in frames for name in frame]
    return replace(
        problem,
        columns=(*problem.columns, *(Column(name, ColumnType.NUMERIC) for name in names)),
        features=pd.concat([problem.features, *frames], axis=1),
    )

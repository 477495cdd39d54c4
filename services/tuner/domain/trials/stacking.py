"""Outputs of candidates as features of others."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from common.data.schema import Column, ColumnType
from common.models.estimators.stacking import stacked_names
from services.tuner.domain.problem import Outputs, Problem


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

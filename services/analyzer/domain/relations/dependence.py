"""Partial dependence (Friedman, Greedy function approximation, 2001) and individual curves.

Individual conditional expectation: Goldstein et al., Peeking inside the black box, 2015.
"""

from dataclasses import dataclass

import numpy as np

from common.data.rows import RawRows
from common.data.schema import Column
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.grid import Grid, is_missing, missing_value
from services.analyzer.domain.relations.probing import Prober

MOST_CURVES = 50


@dataclass(frozen=True)
class Dependence:
    """How outputs depend on a column.

    Attributes:
        mean: Partial dependence, (points, outputs).
        curves: Of single rows, (rows, points, outputs).
        missing: Mean outputs where the column is missing in all rows, (outputs,); None where it is
            missing in none of the data.
        rows: Rows that the mean is over.
    """

    mean: Outputs
    curves: Outputs
    missing: Outputs | None
    rows: int


def dependence(raw: RawRows, column: Column, grid: Grid, prober: Prober) -> Dependence:
    """Returns it; rows in which the column is missing count like the others.

    Args:
        raw: The rows, in random order or not: single curves are spread evenly over them.
        column: The column.
        grid: Its values.
        prober: Asks the model.
    """
    has_missing = bool(is_missing(column, raw.columns[column.name]).any())
    without = [missing_value(column)] if has_missing else []
    tried = np.concatenate([grid.values, *without])
    found = prober.grid(raw, {column.name: tried})
    missing = found[-1].mean(axis=0) if has_missing else None
    found = found[: len(grid)]
    chosen = np.linspace(0, raw.count - 1, min(raw.count, MOST_CURVES)).astype(np.int64)
    return Dependence(
        mean=found.mean(axis=1),
        curves=found[:, chosen].transpose(1, 0, 2),
        missing=missing,
        rows=raw.count,
    )

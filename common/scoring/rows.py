"""Means over rows that count by their weights."""

import numpy as np
import numpy.typing as npt

RowValues = npt.NDArray[np.float64]
"""Shape (rows,): a number for each row."""


def counted(weights: RowValues | None) -> RowValues | None:
    """Returns weights that can be divided by: rows without any weight count alike."""
    if weights is None or not weights.any():
        return None
    return weights


def mean_of(values: RowValues, weights: RowValues | None = None) -> float:
    """Returns the mean; of rows without any weight the plain one."""
    weights = counted(weights)
    if weights is None:
        return float(values.mean())
    # Not `@`: where cores are busy, the threads of BLAS take a hundred times as long.
    return float((values * weights).sum() / weights.sum())

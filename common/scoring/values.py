"""Metrics of values that a regression gives."""

from functools import partial

import numpy as np

from common.scoring.arrays import Outputs, Truth
from common.scoring.forms import VALUES, MeanMetric
from common.scoring.metric import Needs
from common.scoring.rows import RowValues, mean_of

_MEDIAN = 0.5
_LEAST = float(np.finfo(np.float64).eps)


def _errors(truth: Truth, outputs: Outputs) -> RowValues:
    return np.asarray(truth, np.float64) - outputs[:, 0]


def _squared(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.square(_errors(truth, outputs))


def _absolute(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.abs(_errors(truth, outputs))


def _unexplained(truth: Truth, outputs: Outputs, weights: RowValues | None) -> RowValues:
    """Returns squared errors by the variance; of a constant target which rows are wrong."""
    errors = _squared(truth, outputs, None)
    seen = np.asarray(truth, np.float64)
    told = seen if weights is None else seen[weights > 0]
    if told.min() == told.max():
        return (errors > 0).astype(np.float64)
    return np.asarray(errors / mean_of((seen - mean_of(seen, weights)) ** 2, weights))


def _relative(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    """Returns errors by the truth; where that is 0, whether a row is wrong."""
    errors, size = _absolute(truth, outputs, None), np.abs(truth)
    wrong = (errors > 0).astype(np.float64)
    return np.asarray(np.divide(errors, size, out=wrong, where=size > _LEAST))


def _pinball(level: float, truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    errors = _errors(truth, outputs)
    return np.asarray(np.maximum(level * errors, (level - 1) * errors))


def pinball(level: float = _MEDIAN) -> MeanMetric:
    """Returns the loss of a quantile (Koenker and Bassett 1978).

    Args:
        level: Which quantile, above 0 and below 1.

    Raises:
        ValueError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"A quantile's level lies between 0 and 1, {level:g} does not.")
    name = "pinball" if level == _MEDIAN else f"pinball_{level:.12g}"
    return MeanMetric(name, VALUES, Needs.VALUES, partial(_pinball, level), level=level)


RMSE = MeanMetric("rmse", VALUES, Needs.VALUES, _squared, is_root=True)
MAE = MeanMetric("mae", VALUES, Needs.VALUES, _absolute, level=_MEDIAN)
R2 = MeanMetric("r2", VALUES, Needs.VALUES, _unexplained, is_gain=True)
"""Of a constant target the share of the rows that are met exactly."""

MAPE = MeanMetric("mape", VALUES, Needs.VALUES, _relative)
"""1 is 100 %; a row whose truth is 0 counts 1 unless it is met exactly."""

REGRESSION = (RMSE, MAE, R2, MAPE, pinball())

"""Metrics of probabilities, row by row."""

import numpy as np

from common.scoring.arrays import Outputs, Truth
from common.scoring.forms import CLASSES, LABELS, MeanMetric
from common.scoring.metric import Needs
from common.scoring.rows import RowValues

_LEAST = float(np.finfo(np.float64).eps)


def _log_loss(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    if truth.ndim == 2:
        own = np.where(truth == 1, outputs, 1 - outputs)
        return np.asarray(-np.log(np.clip(own, _LEAST, 1 - _LEAST)).mean(axis=1))
    own = _own(truth, outputs)
    return np.asarray(-np.log(np.clip(own, _LEAST, 1 - _LEAST)))


def _brier(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    if truth.ndim == 2:
        return np.asarray(np.square(outputs - np.asarray(truth, np.float64)).mean(axis=1))
    if outputs.shape[1] == 2:
        return np.square(outputs[:, 1] - np.asarray(truth, np.float64))
    squares = np.einsum("rc,rc->r", outputs, outputs)
    return np.asarray(np.maximum(squares - 2 * _own(truth, outputs) + 1, 0.0))


def _own(truth: Truth, outputs: Outputs) -> RowValues:
    return outputs[np.arange(len(truth)), truth.astype(np.int64, copy=False)]


LOG_LOSS = MeanMetric("log_loss", CLASSES | LABELS, Needs.PROBABILITIES, _log_loss)
"""Natural logarithm; of labels the mean over them."""

BRIER = MeanMetric("brier", CLASSES | LABELS, Needs.PROBABILITIES, _brier)
"""Of two classes the square for one, 0 to 1; of more the sum over them, 0 to 2; of labels the mean
over them (Brier 1950)."""

PROBABILITIES = (LOG_LOSS, BRIER)

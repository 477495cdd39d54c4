"""Probabilities made surer or less sure by what rows say: temperature and Platt's scaling."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from common.models.estimators.combining import (
    Calibration,
    Mean,
    ScaledScores,
    probabilities_of,
    scores_of,
)
from common.scoring.metric import Metric
from common.scoring.probabilities import BRIER, LOG_LOSS
from services.tuner.domain.problem import Outputs, Positions, Truth

CALIBRATED = frozenset({BRIER.name, LOG_LOSS.name, "cost_matrix"})
"""Metrics that look at how sure probabilities are."""

_MOST_ENTRIES, _FEWEST_ROWS = 200_000, 2_000
_ROWS_FOR_ONE = 2_000
"""Rows that are enough to learn one number from."""
_SPREAD = 0.5  # of scales about 1 and offsets about 0, before rows are seen

Floats = npt.NDArray[np.float64]
Fit = Callable[[Truth, Outputs, Floats], Calibration]


def sharpened_loss(metric: Metric, truth: Truth, outputs: Outputs, weights: Floats | None) -> float:
    """Returns the loss of probabilities that are as sure as suits these rows, or of other outputs.

    Forests are far less sure than they might be: as they are, they say little of what they are
    worth once they are calibrated, as a final model is. The one number that is learned for it from
    the same rows hardly flatters.

    Args:
        metric: Says what the loss is.
        truth: Of the rows, as `Problem.truth`.
        outputs: (rows, outputs).
        weights: Of the rows; None where all count alike.
    """
    loss = float(metric.loss(truth, outputs, weights))
    if metric.name not in CALIBRATED:
        return loss
    fit = temperature if truth.ndim == 1 else labels_temperature
    share = np.ones(len(truth)) if weights is None else weights
    rows = np.random.default_rng(0).permutation(len(truth))[:_ROWS_FOR_ONE]
    sharpened = fit(truth[rows], outputs[rows], share[rows]).apply(outputs)
    return min(loss, float(metric.loss(truth, sharpened, weights)))


def temperature(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    """Returns one scale for the scores of all classes."""
    return _learned(truth, outputs, weights, Mean.LOGITS, is_shared=True)


def scaled(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    """Returns a scale and an offset for the score of each class."""
    return _learned(truth, outputs, weights, Mean.LOGITS, is_shared=False)


def labels_temperature(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    """Returns one scale for the odds of all labels."""
    return _learned(truth, outputs, weights, Mean.ODDS, is_shared=True)


def labels_scaled(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    """Returns a scale and an offset for the odds of each label."""
    return _learned(truth, outputs, weights, Mean.ODDS, is_shared=False)


def _learned(
    truth: Truth, outputs: Outputs, weights: Floats, mean: Mean, is_shared: bool
) -> Calibration:
    """Returns the scales and offsets of the smallest log loss, drawn to 1 and 0."""
    width = outputs.shape[1]
    rows = _some(len(truth), width)
    truth, outputs, weights = truth[rows], outputs[rows], weights[rows]
    scores, wanted = scores_of(outputs, mean), wanted_shares(truth, width)
    share = weights[:, None] / weights.sum()
    strength = 1 / (_SPREAD**2 * len(truth))

    def cost(values: Floats) -> tuple[float, Floats]:
        scales, offsets = _parted(values, width, is_shared)
        shifted = scores * scales + offsets
        found = probabilities_of(shifted, mean)
        errors = share * (found - wanted)
        off = values - _start(width, is_shared)
        loss = _likelihood(found, wanted, share, mean) + strength / 2 * float(off @ off)
        by_scale = (errors * scores).sum(axis=0)
        by_value = [by_scale.sum()] if is_shared else [*by_scale, *errors.sum(axis=0)]
        return loss, np.array(by_value) + strength * off

    found = minimize(cost, _start(width, is_shared), jac=True, method="L-BFGS-B")
    scales, offsets = _parted(np.asarray(found.x), width, is_shared)
    return ScaledScores(np.maximum(scales, 0.05), offsets, mean.value)


def _some(rows: int, width: int) -> Positions:
    """Returns which of many rows are enough."""
    count = max(_MOST_ENTRIES // width, _FEWEST_ROWS)
    return np.random.default_rng(0).permutation(rows)[:count]


def _start(width: int, is_shared: bool) -> Floats:
    return np.ones(1) if is_shared else np.concatenate([np.ones(width), np.zeros(width)])


def _parted(values: Floats, width: int, is_shared: bool) -> tuple[Floats, Floats]:
    if is_shared:
        return np.full(width, values[0]), np.zeros(width)
    return values[:width], values[width:]


def _likelihood(found: Floats, wanted: Floats, share: Floats, mean: Mean) -> float:
    own = wanted * np.log(np.maximum(found, 1e-12))
    if mean is Mean.ODDS:
        own = own + (1 - wanted) * np.log(np.maximum(1 - found, 1e-12))
    return -float((share * own).sum())


def wanted_shares(truth: Truth, width: int) -> Floats:
    """Returns 1 where an output is to be 1, else 0, (rows, outputs)."""
    if truth.ndim == 2:
        return truth.astype(np.float64)
    return np.asarray(truth[:, None] == np.arange(width), np.float64)

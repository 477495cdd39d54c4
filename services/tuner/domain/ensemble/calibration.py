"""A blend's probabilities or quantiles made honest, where rows held out say that this helps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from common.models.estimators.combining import (
    Calibration,
    Doubted,
    Mean,
    ScaledScores,
    Shifted,
    Steps,
    probabilities_of,
    scores_of,
)
from services.tuner.domain.ensemble.judging import Judged, judge
from services.tuner.domain.ensemble.pool import Floats, Pool
from services.tuner.domain.metrics.probabilities import BRIER, LOG_LOSS
from services.tuner.domain.metrics.registry import level_of
from services.tuner.domain.problem import Outputs, Positions, ProblemKind, Truth

_METRICS = frozenset({BRIER.name, LOG_LOSS.name, "cost_matrix"})
_FEWEST_FOR_STEPS = 1_000
_FEWEST_PER_CLASS = 20
_MOST_ENTRIES, _FEWEST_ROWS = 200_000, 2_000
_SPREAD = 0.5  # of scales about 1 and offsets about 0, before rows are seen
_DOUBT = 0.5

Fit = Callable[[Truth, Outputs, Floats], Calibration]


@dataclass(frozen=True)
class Calibrated:
    """A calibration with what it makes of held-out rows.

    Attributes:
        calibration: What to apply; None where nothing helps.
        outputs: Of the rows, each calibrated by the others.
        judged: What these are worth.
    """

    calibration: Calibration | None
    outputs: Outputs
    judged: Judged


def calibrated(pool: Pool, outputs: Outputs) -> Calibrated:
    """Returns the calibration that lowers the loss of held-out parts most.

    Of log loss it is no surer than the rows allow: held-out rows do not tell that, for surprises
    are what they lack.

    Args:
        pool: Of the rows.
        outputs: Of a blend for these rows, by weights that did not see them, (rows, outputs).
    """
    best = usual = Calibrated(None, outputs, judge(pool, outputs))
    for fit in _fits(pool):
        found = held_out(pool, outputs, fit)
        judged = judge(pool, found)
        gain = usual.judged.loss - judged.loss
        is_sure = gain > _DOUBT * usual.judged.gain_error(judged)
        if is_sure and judged.loss < best.judged.loss:
            best = Calibrated(fit(pool.truth, outputs, _weights(pool)), found, judged)
    return _doubted(pool, best) if pool.metric.name == LOG_LOSS.name else best


def _doubted(pool: Pool, found: Calibrated) -> Calibrated:
    counts = _wanted(pool.truth, found.outputs.shape[1]).sum(axis=0)
    prior = (counts + 1) / (pool.row_count + (2 if pool.truth.ndim == 2 else len(counts)))
    share = 1 / (pool.row_count + 2)
    outputs = Doubted(share, prior).apply(found.outputs)
    calibration = Doubted(share, prior, found.calibration)
    return Calibrated(calibration, outputs, judge(pool, outputs))


def held_out(pool: Pool, outputs: Outputs, fit: Fit) -> Outputs:
    """Returns outputs of which each part is calibrated by what the others teach."""
    found, weights = outputs.copy(), _weights(pool)
    for part in np.unique(pool.parts):
        outside, inside = part_rows(pool.parts, part)
        if len(outside):
            learned = fit(pool.truth[outside], outputs[outside], weights[outside])
            found[inside] = learned.apply(outputs[inside])
    return found


def _fits(pool: Pool) -> list[Fit]:
    level = level_of(pool.metric)
    if level is not None:
        return [partial(_shift, level)]
    if pool.kind is ProblemKind.REGRESSION or pool.metric.name not in _METRICS:
        return []
    if pool.kind is ProblemKind.MULTI_LABEL:
        return [_labels_temperature, _labels_scaled]
    fits: list[Fit] = [_temperature]
    counts = np.bincount(pool.truth.astype(np.int64), minlength=pool.outputs.shape[2])
    if counts.min() >= _FEWEST_PER_CLASS:
        fits.append(_scaled)
    if pool.kind is ProblemKind.BINARY and pool.row_count >= _FEWEST_FOR_STEPS:
        fits.append(_steps)
    return fits


def _temperature(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    return _learned(truth, outputs, weights, Mean.LOGITS, is_shared=True)


def _scaled(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    return _learned(truth, outputs, weights, Mean.LOGITS, is_shared=False)


def _labels_temperature(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    return _learned(truth, outputs, weights, Mean.ODDS, is_shared=True)


def _labels_scaled(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    return _learned(truth, outputs, weights, Mean.ODDS, is_shared=False)


def _shift(level: float, truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    """Returns the shift of the smallest loss: the same quantile of what is left."""
    left = truth.astype(np.float64) - outputs[:, 0]
    order = np.argsort(left)
    passed = np.cumsum(weights[order])
    place = min(int(np.searchsorted(passed, level * passed[-1])), len(left) - 1)
    return Shifted(float(left[order[place]]))


def _steps(truth: Truth, outputs: Outputs, weights: Floats) -> Calibration:
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(outputs[:, 1], truth == 1, weights)
    # Steps at 0 or 1 are of some rows only: never sure.
    least = 1 / (len(truth) + 2)
    return Steps(
        np.asarray(model.X_thresholds_, np.float64),
        np.clip(np.asarray(model.y_thresholds_, np.float64), least, 1 - least),
    )


def _learned(
    truth: Truth, outputs: Outputs, weights: Floats, mean: Mean, is_shared: bool
) -> Calibration:
    """Returns the scales and offsets of the smallest log loss, drawn to 1 and 0."""
    width = outputs.shape[1]
    rows = _some(len(truth), width)
    truth, outputs, weights = truth[rows], outputs[rows], weights[rows]
    scores, wanted = scores_of(outputs, mean), _wanted(truth, width)
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


def _wanted(truth: Truth, width: int) -> Floats:
    if truth.ndim == 2:
        return truth.astype(np.float64)
    return np.asarray(truth[:, None] == np.arange(width), np.float64)


def _weights(pool: Pool) -> Floats:
    return np.ones(pool.row_count) if pool.weights is None else pool.weights


def part_rows(parts: Positions, part: int) -> tuple[Positions, Positions]:
    """Returns the rows outside of a part and those inside."""
    return np.flatnonzero(parts != part), np.flatnonzero(parts == part)

"""A blend's probabilities or quantiles made honest, where rows held out say that this helps."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.isotonic import IsotonicRegression

from common.models.estimators.combining import (
    Calibration,
    Doubted,
    Shifted,
    Steps,
)
from common.scoring.probabilities import LOG_LOSS
from common.scoring.registry import level_of
from services.tuner.domain.ensemble.judging import Judged, judge
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.scaling import (
    CALIBRATED,
    Fit,
    Floats,
    labels_scaled,
    labels_temperature,
    scaled,
    temperature,
    wanted_shares,
)
from services.tuner.domain.problem import Outputs, Positions, ProblemKind, Truth

_FEWEST_FOR_STEPS = 1_000
_FEWEST_PER_CLASS = 20
_DOUBT = 0.5


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
    counts = wanted_shares(pool.truth, found.outputs.shape[1]).sum(axis=0)
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
    if pool.kind is ProblemKind.REGRESSION or pool.metric.name not in CALIBRATED:
        return []
    if pool.kind is ProblemKind.MULTI_LABEL:
        return [labels_temperature, labels_scaled]
    fits: list[Fit] = [temperature]
    counts = np.bincount(pool.truth.astype(np.int64), minlength=pool.outputs.shape[2])
    if counts.min() >= _FEWEST_PER_CLASS:
        fits.append(scaled)
    if pool.kind is ProblemKind.BINARY and pool.row_count >= _FEWEST_FOR_STEPS:
        fits.append(_steps)
    return fits


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


def _weights(pool: Pool) -> Floats:
    return np.ones(pool.row_count) if pool.weights is None else pool.weights


def part_rows(parts: Positions, part: int) -> tuple[Positions, Positions]:
    """Returns the rows outside of a part and those inside."""
    return np.flatnonzero(parts != part), np.flatnonzero(parts == part)

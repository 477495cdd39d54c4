"""Decisions other than the likeliest class, where rows held out say that a metric gains by them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.models.estimators.combining import tilted
from common.scoring.deciding import ACCURACY, SUBSET_ACCURACY
from common.scoring.metric import Needs
from common.scoring.thresholds import best_threshold, has_threshold
from services.tuner.domain.ensemble.calibration import part_rows
from services.tuner.domain.ensemble.judging import Judged, judge
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.problem import Outputs, Positions, ProblemKind

_POWERS = np.linspace(0, 1.2, 13)
_THRESHOLDS = np.linspace(0.1, 0.9, 33)
_DRAWS = 10
_MOST_ROWS = 20_000
_MOST_LABELS, _MOST_CLASSES = 12, 8
_ROUNDS = 2
_FACTORS = np.exp(np.linspace(-1.0, 1.0, 9))
_DOUBT = 1.0

Fit = Callable[[Pool, Outputs], Floats]


@dataclass(frozen=True)
class Tilted:
    """Tilts with what they make of held-out rows.

    Attributes:
        tilts: See `tilted`; None where the likeliest are best.
        outputs: Of the rows, each tilted by what the others teach.
        judged: What these are worth.
    """

    tilts: Floats | None
    outputs: Outputs
    judged: Judged


def decided(pool: Pool, outputs: Outputs, is_thorough: bool = True) -> Tilted:
    """Returns the tilts that lower the loss of held-out parts most.

    Args:
        pool: Of the rows.
        outputs: Of a blend for these rows, by weights that did not see them, (rows, outputs).
        is_thorough: Whether tilts of their own for many outputs are tried, which takes long.
    """
    pool = pool.bare()
    best = usual = Tilted(None, outputs, judge(pool, outputs))
    for fit in _fits(pool, is_thorough):
        found = _held_out(pool, outputs, fit)
        judged = judge(pool, found)
        gain = usual.judged.loss - judged.loss
        is_sure = gain > _DOUBT * usual.judged.gain_error(judged)
        if is_sure and judged.loss < best.judged.loss:
            best = Tilted(fit(pool, outputs), found, judged)
    return best


def _fits(pool: Pool, is_thorough: bool) -> list[Fit]:
    if pool.metric.needs is not Needs.DECISIONS:
        return []
    if pool.kind is ProblemKind.BINARY:
        return [_threshold] if has_threshold(pool.metric) else []
    if pool.kind is ProblemKind.MULTI_LABEL:
        is_whole = pool.metric.name == SUBSET_ACCURACY.name
        few = is_thorough and pool.outputs.shape[2] <= _MOST_LABELS and not is_whole
        return [_shared, _own] if few else [_shared]
    if pool.metric.name == ACCURACY.name:
        return []
    few = is_thorough and pool.outputs.shape[2] <= _MOST_CLASSES
    return [_by_share, _by_class] if few else [_by_share]


def _held_out(pool: Pool, outputs: Outputs, fit: Fit) -> Outputs:
    found = outputs.copy()
    for part in np.unique(pool.parts):
        outside, inside = part_rows(pool.parts, part)
        if len(outside):
            tilts = fit(pool.take(outside), outputs[outside])
            found[inside] = tilted(outputs[inside], tilts, pool.kind.has_classes)
    return found


def _threshold(pool: Pool, outputs: Outputs) -> Floats:
    """Returns the median over draws with replacement: less moved by single rows."""
    generator = np.random.default_rng(0)
    rows = min(pool.row_count, _MOST_ROWS)
    draws = (generator.integers(pool.row_count, size=rows) for _ in range(_DRAWS))
    odds = [_odds(_best_threshold(pool, outputs, draw)) for draw in draws]
    return np.array([1.0, np.exp(-np.median(odds))])


def _best_threshold(pool: Pool, outputs: Outputs, rows: Positions) -> float:
    weights = None if pool.weights is None else pool.weights[rows]
    return best_threshold(pool.truth[rows], outputs[rows], pool.metric, weights).value


def _odds(threshold: float) -> float:
    inside = min(max(threshold, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def _shared(pool: Pool, outputs: Outputs) -> Floats:
    width = outputs.shape[1]
    tilts = [np.full(width, (1 - each) / each) for each in _THRESHOLDS]
    return _best(pool, outputs, tilts)


def _own(pool: Pool, outputs: Outputs) -> Floats:
    return _turned(pool, outputs, _shared(pool, outputs))


def _by_share(pool: Pool, outputs: Outputs) -> Floats:
    """Returns a power of how rare the classes are: at 1 best for their mean recall."""
    counts = np.bincount(pool.truth.astype(np.int64), minlength=outputs.shape[1]) + 1.0
    shares = counts / counts.sum()
    return _best(pool, outputs, [(shares.mean() / shares) ** power for power in _POWERS])


def _by_class(pool: Pool, outputs: Outputs) -> Floats:
    return _turned(pool, outputs, _by_share(pool, outputs))


def _turned(pool: Pool, outputs: Outputs, tilts: Floats) -> Floats:
    """Returns tilts of which one after another was made best."""
    for _ in range(_ROUNDS):
        for place in range(len(tilts)):
            tried = np.repeat(tilts[None], len(_FACTORS), axis=0)
            tried[:, place] *= _FACTORS
            tilts = _best(pool, outputs, list(tried))
    return tilts


def _best(pool: Pool, outputs: Outputs, tried: list[Floats]) -> Floats:
    """Returns the tilts of the smallest loss; of equals those in the middle."""
    is_exclusive = pool.kind.has_classes
    losses = np.array([pool.loss(tilted(outputs, each, is_exclusive)) for each in tried])
    equal = np.flatnonzero(losses <= losses.min() + 1e-12)
    return tried[int(equal[len(equal) // 2])]

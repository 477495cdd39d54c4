"""Which blend becomes the final model: proposals, judged on rows that their weights did not see."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.models.estimators.combining import Calibration, Mean
from common.scoring.metric import Needs
from services.tuner.domain.ensemble.calibration import calibrated, part_rows
from services.tuner.domain.ensemble.judging import Judged, judge
from services.tuner.domain.ensemble.pool import Limits, Pool
from services.tuner.domain.ensemble.proposals import BEST, Proposal, proposals, usual_name
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.ensemble.tilting import decided
from services.tuner.domain.problem import Outputs

_MOST_ROWS = 50_000
_DOUBT = 0.5
_SEARCHES = 3

HeldOut = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Considered:
    """A blend that was judged.

    Attributes:
        name: For instance `joint` or `top_5_logits`.
        loss: On rows that its weights did not see.
        error: Standard error of the difference to the chosen one's loss.
    """

    name: str
    loss: float
    error: float


@dataclass(frozen=True)
class Ensemble:
    """The blend that was chosen.

    Attributes:
        name: See `Considered`.
        weights: By number of the candidates, those above 0.
        mean: How the members are averaged.
        calibration: Of the averages; None for none.
        tilts: See `tilted`; None where the likeliest is decided for.
        loss: As far as rows tell that neither weights nor calibration saw.
        error: Its standard error.
        considered: All that were judged, the best first.
    """

    name: str
    weights: Mapping[int, float]
    mean: Mean
    calibration: Calibration | None
    tilts: Floats | None
    loss: float
    error: float
    considered: tuple[Considered, ...]


def choose_ensemble(
    pool: Pool, limits: Limits | None = None, seconds: float = 10.0, seed: int = 0
) -> Ensemble:
    """Returns the blend to go on with: within limits, and not one that seems worse than a model.

    It is ensemble selection (see `usual_name`) unless another proposal is better by more than half
    the standard error of the difference.

    Args:
        pool: At least one candidate.
        limits: Of the blend; none by default.
        seconds: About how long the searches may take where the metric is slow.
        seed: Of all chance.
    """
    limits = limits or Limits()
    pool = _sampled(pool, seed)
    parts = np.unique(pool.parts)
    share = seconds / (_SEARCHES * (len(parts) + 1))
    found = proposals(pool, limits, share, seed)
    outputs = _held_out(pool, limits, share, seed) if len(parts) > 1 else {}
    if not outputs:
        outputs = {each: _outputs(pool, found[each]) for each in found}
    judged = {name: _judged(pool, each) for name, each in outputs.items() if name in found}
    name = _chosen(judged, usual_name(pool.kind))
    return _ensemble(pool, name, found[name], np.asarray(outputs[name], np.float64), judged)


def _sampled(pool: Pool, seed: int) -> Pool:
    if pool.row_count <= _MOST_ROWS:
        return pool
    drawn = np.random.default_rng(seed).permutation(pool.row_count)[:_MOST_ROWS]
    return pool.take(np.sort(drawn))


def _held_out(pool: Pool, limits: Limits, seconds: float, seed: int) -> HeldOut:
    """Returns outputs of all rows, by weights that the rows of other parts gave."""
    found: HeldOut = {}
    for part in np.unique(pool.parts):
        outside, inside = part_rows(pool.parts, part)
        judged = pool.take(inside)
        for name, proposal in proposals(pool.take(outside), limits, seconds, seed).items():
            empty = np.full(pool.outputs.shape[1:], np.nan, np.float32)
            found.setdefault(name, empty)[inside] = _outputs(judged, proposal)
    return {name: each for name, each in found.items() if not np.isnan(each).any()}


def _outputs(pool: Pool, proposal: Proposal) -> npt.NDArray[np.float32]:
    return pool.blended(proposal.weights, proposal.mean).astype(np.float32)


def _judged(pool: Pool, outputs: npt.NDArray[np.float32]) -> Judged:
    wide = np.asarray(outputs, np.float64)
    if pool.metric.needs is Needs.DECISIONS:
        return decided(pool, wide, is_thorough=False).judged
    return judge(pool, wide)


def _chosen(judged: Mapping[str, Judged], usual: str) -> str:
    usual = usual if usual in judged else BEST
    better = [
        name
        for name, each in judged.items()
        if judged[usual].loss - each.loss > _DOUBT * judged[usual].gain_error(each)
    ]
    return min(better, key=lambda name: judged[name].loss, default=usual)


def _ensemble(
    pool: Pool, name: str, proposal: Proposal, outputs: Outputs, judged: Mapping[str, Judged]
) -> Ensemble:
    honest = calibrated(pool, outputs)
    tilt = decided(pool, honest.outputs)
    last = honest.judged if tilt.tilts is None else tilt.judged
    considered = (
        Considered(each, found.loss, found.gain_error(judged[name]))
        for each, found in judged.items()
    )
    weights = {
        number: float(weight)
        for number, weight in zip(pool.numbers, proposal.weights, strict=True)
        if weight > 0
    }
    return Ensemble(
        name,
        weights,
        proposal.mean,
        honest.calibration,
        tilt.tilts,
        last.loss,
        last.error,
        tuple(sorted(considered, key=lambda each: each.loss)),
    )


def ensemble_outputs(pool: Pool, ensemble: Ensemble) -> Outputs:
    """Returns the blend's calibrated outputs for the rows of a pool, (rows, outputs)."""
    weights = np.array([ensemble.weights.get(number, 0.0) for number in pool.numbers])
    outputs = pool.blended(weights, ensemble.mean)
    return outputs if ensemble.calibration is None else ensemble.calibration.apply(outputs)

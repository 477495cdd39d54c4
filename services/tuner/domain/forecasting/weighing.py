"""How much each candidate counts: few windows tell little, so that weights stay near equal."""

import numpy as np

from common.models.estimators.combining import Mean
from services.tuner.domain.ensemble.greedy import Greedy, pruned
from services.tuner.domain.ensemble.judging import judge
from services.tuner.domain.ensemble.pool import Limits, Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.ensemble.selection import Considered, Ensemble
from services.tuner.domain.problem import Positions

WEIGHTED, SELECTED, BY_ERROR, BEST = "weighted", "selected", "by_error", "best"
_LIMITS = Limits(members=8)
_SELECTED_FROM, _FAR, _POWER = 10, 1.5, 8
_SMALLEST = 0.03


def weighted(pool: Pool, seconds: float) -> Ensemble:
    """Returns the mean of two blends: by ensemble selection, and by the inverse of errors.

    Caruana et al. (2004) for the one; Bates and Granger, "The combination of forecasts" (1969)
    for the other. On windows of development sets each is better where the other is worse.

    Args:
        pool: At least one candidate, judged on the rows of all windows.
        seconds: About how long that may take.
    """
    parts = np.unique(pool.parts)
    share = seconds / (len(parts) + 1)
    ways = _ways(pool, share)
    judged = {name: judge(pool, outputs) for name, outputs in _held_out(pool, parts, share).items()}
    chosen = judged[WEIGHTED]
    considered = (
        Considered(name, each.loss, each.gain_error(chosen)) for name, each in judged.items()
    )
    weights = {
        number: float(weight)
        for number, weight in zip(pool.numbers, ways[WEIGHTED], strict=True)
        if weight > 0
    }
    return Ensemble(
        name=WEIGHTED,
        weights=weights,
        mean=Mean.PLAIN,
        calibration=None,
        tilts=None,
        loss=chosen.loss,
        error=chosen.error,
        considered=tuple(sorted(considered, key=lambda each: each.loss)),
    )


def _ways(pool: Pool, seconds: float) -> dict[str, Floats]:
    """Returns weights of the candidates by the name of what gave them."""
    selected = Greedy(pool, _LIMITS, seconds).weights(pool.order[:_SELECTED_FROM])
    by_error = _by_error(pool.losses)
    best = np.zeros(pool.size)
    best[pool.order[0]] = 1
    return {
        WEIGHTED: pruned(pool, (selected + by_error) / 2, _LIMITS, _SMALLEST),
        SELECTED: selected,
        BY_ERROR: by_error,
        BEST: best,
    }


def _by_error(losses: Floats) -> Floats:
    least = losses.min()
    if least <= 0:
        return np.asarray((losses <= 0) / (losses <= 0).sum())
    weights = np.where(losses <= _FAR * least, (least / losses) ** _POWER, 0.0)
    return np.asarray(weights / weights.sum())


def _held_out(pool: Pool, parts: Positions, seconds: float) -> dict[str, Floats]:
    """Returns outputs of all rows, by weights that the rows of other parts gave."""
    if len(parts) < 2:
        return {name: pool.blended(each, Mean.PLAIN) for name, each in _ways(pool, seconds).items()}
    found = {
        name: np.zeros(pool.outputs.shape[1:]) for name in (WEIGHTED, SELECTED, BY_ERROR, BEST)
    }
    for part in parts:
        inside = pool.parts == part
        judged = pool.take(np.flatnonzero(inside))
        for name, each in _ways(pool.take(np.flatnonzero(~inside)), seconds).items():
            found[name][inside] = judged.blended(each, Mean.PLAIN)
    return found

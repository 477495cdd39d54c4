"""Blends that are worth being judged: from the single best candidate to a linear stacker."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.models.estimators.combining import Mean
from common.scoring.metric import Needs
from common.scoring.probabilities import LOG_LOSS
from services.tuner.domain.ensemble.greedy import Greedy, affordable, pruned
from services.tuner.domain.ensemble.pool import Limits, Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.ensemble.stacking import linear_weights, score_mean
from services.tuner.domain.problem import ProblemKind

BEST, JOINT = "best", "joint"
_SMALLEST = 0.02
_TOPS = (3, 5, 10)


@dataclass(frozen=True)
class Proposal:
    """A blend.

    Attributes:
        weights: Of the candidates, (candidates,).
        mean: How they are averaged.
    """

    weights: Floats
    mean: Mean = Mean.PLAIN


def proposals(pool: Pool, limits: Limits, seconds: float, seed: int) -> Mapping[str, Proposal]:
    """Returns blends by name; `best`, a single candidate, is always among them.

    Args:
        pool: Of the candidates.
        limits: Of each blend.
        seconds: For each of the searches.
        seed: Of all chance.
    """
    best = Proposal(_equal(pool, affordable(pool, limits)[:1]))
    if pool.size == 1:
        return {BEST: best}
    plain = {
        name: pruned(pool, weights, limits, _SMALLEST)
        for name, weights in _weighed(pool, limits, seconds, seed).items()
    }
    plain["mixed"] = pruned(pool, (plain[JOINT] + plain["top_5"]) / 2, limits, _SMALLEST)
    found = {BEST: best} | {name: Proposal(weights) for name, weights in plain.items()}
    return found | _otherwise(pool, plain) | _linear(pool, plain["mixed"], limits)


def usual_name(kind: ProblemKind) -> str:
    """Returns the name of the blend that is best where nothing is known.

    On development sets it was: joint selection, for classes averaged as logits.
    """
    return JOINT if kind is ProblemKind.REGRESSION else f"{JOINT}_{score_mean(kind)}"


def _weighed(pool: Pool, limits: Limits, seconds: float, seed: int) -> dict[str, Floats]:
    ranked = affordable(pool, limits)
    greedy = Greedy(pool, limits, seconds)
    found = {f"top_{count}": _equal(pool, ranked[:count]) for count in _TOPS}
    found["greedy"] = greedy.weights()
    found["bagged"] = greedy.bagged(np.random.default_rng(seed))
    # Of few candidates half are often without the best, of many all are learned by heart.
    found[JOINT] = (found["greedy"] + found["bagged"]) / 2
    if pool.metric.needs is Needs.DECISIONS:
        # Decisions are coarse: what is likely to be true tells more of few rows.
        likely = Greedy(replace(pool, metric=LOG_LOSS), limits, seconds)
        found["likely"] = likely.bagged(np.random.default_rng(seed))
    return found


def _otherwise(pool: Pool, plain: Mapping[str, Floats]) -> dict[str, Proposal]:
    """Returns the same weights with another mean."""
    if pool.kind is ProblemKind.REGRESSION:
        mean, names = Mean.MEDIAN, ("top_5", "top_10", "mixed")
    else:
        mean, names = score_mean(pool.kind), ("top_5", JOINT, "mixed")
    return {f"{name}_{mean}": Proposal(plain[name], mean) for name in names}


def _linear(pool: Pool, start: Floats, limits: Limits) -> dict[str, Proposal]:
    found = linear_weights(pool, start)
    if found is None:
        return {}
    weights, mean = found
    return {"linear": Proposal(pruned(pool, weights, limits, _SMALLEST / 2), mean)}


def _equal(pool: Pool, positions: list[int]) -> Floats:
    weights = np.zeros(pool.size)
    weights[positions] = 1 / len(positions)
    return weights

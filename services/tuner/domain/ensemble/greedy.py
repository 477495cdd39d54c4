"""Ensemble selection from libraries of models (Caruana et al. 2004)."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.tuner.domain.ensemble.objectives import bag_of
from services.tuner.domain.ensemble.pool import Cost, Limits, Pool
from services.tuner.domain.ensemble.scaling import Floats

_EQUAL = 1e-9
_ROUNDS, _PATIENCE = 40, 8
_FIRST = 4
_FEW, _ALL_EVERY = 8, 6
_BAGS, _SHARE, _LEAST_IN_BAG = 6, 0.5, 4


class Greedy:
    """Adds what lowers the loss most, again and again, with replacement."""

    def __init__(self, pool: Pool, limits: Limits, seconds: float) -> None:
        """Prepares.

        Args:
            pool: What there is to choose from.
            limits: Of each choice.
            seconds: After so many a choice is ended, by what it has.
        """
        self._pool = pool
        self._limits = limits
        self._ranked = affordable(pool, limits)
        self._bag = bag_of(pool)
        self._deadline = time.monotonic() + seconds

    def weights(self, candidates: Sequence[int] | None = None) -> Floats:
        """Returns the weights of the best bag that was met, (candidates,), sum 1.

        Args:
            candidates: Positions of those that are looked at, the best first; by default all that
                are within the limits.
        """
        ranked = list(self._ranked if candidates is None else candidates)
        chosen = self._first(ranked)
        best, least = list(chosen), self._refilled(chosen)
        tried: dict[int, float] = {}
        since = 0
        while len(chosen) < _ROUNDS and since < _PATIENCE and time.monotonic() < self._deadline:
            allowed = self._allowed(chosen, self._looked_at(ranked, tried, len(chosen)))
            if not allowed:
                break
            losses = self._bag.tried(allowed)
            tried.update(zip(allowed, losses.tolist(), strict=True))
            added = self._smallest(allowed, losses, chosen)
            chosen.append(added)
            self._bag.add(added)
            since += 1
            if tried[added] < least - _EQUAL * abs(least):
                best, least, since = list(chosen), tried[added], 0
        return _shares(best, self._pool.size)

    def bagged(self, generator: np.random.Generator, bags: int = _BAGS) -> Floats:
        """Returns the mean of the weights that random halves of the candidates give.

        Args:
            generator: Of that chance.
            bags: How many.
        """
        size = len(self._ranked)
        count = max(_LEAST_IN_BAG, round(_SHARE * size))
        if size <= count:
            return self.weights()
        drawn = [np.sort(generator.permutation(size)[:count]).tolist() for _ in range(bags)]
        halves = ([self._ranked[place] for place in places] for places in drawn)
        return np.asarray(np.mean([self.weights(each) for each in halves], axis=0))

    def _first(self, ranked: Sequence[int]) -> list[int]:
        """Returns the best few that are better together than fewer of them; at least one."""
        self._bag.empty()
        chosen: list[int] = []
        best, least = 1, np.inf
        for candidate in ranked:
            if len(chosen) == _FIRST:
                break
            if chosen and not self._allowed(chosen, [candidate]):
                continue
            loss = float(self._bag.tried([candidate])[0])
            self._bag.add(candidate)
            chosen.append(candidate)
            if loss < least:
                best, least = len(chosen), loss
        return chosen[:best]

    def _refilled(self, chosen: Sequence[int]) -> float:
        """Fills the bag and returns its loss."""
        self._bag.empty()
        loss = np.inf
        for candidate in chosen:
            loss = float(self._bag.tried([candidate])[0])
            self._bag.add(candidate)
        return loss

    def _looked_at(
        self, ranked: Sequence[int], tried: dict[int, float], count: int
    ) -> Sequence[int]:
        """Returns all, or where these take long mostly those that were best when last tried."""
        if self._bag.is_cheap or not tried or count % _ALL_EVERY == 0:
            return ranked
        return sorted(ranked, key=lambda at: tried.get(at, np.inf))[:_FEW]

    def _allowed(self, chosen: Sequence[int], candidates: Sequence[int]) -> list[int]:
        inside = set(chosen)
        if len(inside) >= self._limits.members:
            candidates = [each for each in candidates if each in inside]
        if np.isinf(self._limits.seconds) and np.isinf(self._limits.bytes):
            return list(candidates)
        return [
            each
            for each in candidates
            if each in inside or self._limits.allow(self._pool.cost([*inside, each]))
        ]

    def _smallest(self, allowed: Sequence[int], losses: Floats, chosen: Sequence[int]) -> int:
        """Returns which has the smallest loss; of equals what is in already, or the cheapest."""
        least = losses.min()
        equal = np.flatnonzero(losses <= least + _EQUAL * abs(least)).tolist()
        inside = set(chosen)
        return min((allowed[at] for at in equal), key=lambda at: self._price(at, inside))

    def _price(self, candidate: int, inside: set[int]) -> tuple[float, float, int]:
        cost = Cost() if candidate in inside else self._pool.cost([candidate])
        return cost.seconds, cost.bytes, candidate


def affordable(pool: Pool, limits: Limits) -> list[int]:
    """Returns the positions of the candidates within limits, the best first.

    If there are none, it is the one that is least beyond them: some model there has to be.
    """
    allowed = [at for at in pool.order if limits.allow(pool.cost([at]))]
    if allowed:
        return allowed
    costs = [pool.cost([at]) for at in range(pool.size)]
    return [min(pool.order, key=lambda at: limits.excess(costs[at]))]


def pruned(pool: Pool, weights: Floats, limits: Limits, smallest: float) -> Floats:
    """Returns weights of which the small ones, and what is beyond the limits, became 0.

    Args:
        pool: Of the candidates.
        weights: At least 0, (candidates,), one above 0.
        limits: What the rest may cost.
        smallest: Members with a smaller share go.

    Returns:
        Weights with the sum that they had.
    """
    total = weights.sum()
    kept: list[int] = []
    for at in np.argsort(-weights, kind="stable").tolist():
        if weights[at] <= 0 or (kept and weights[at] < smallest * total):
            break
        if not kept or limits.allow(pool.cost([*kept, at])):
            kept.append(at)
        if len(kept) == limits.members:
            break
    rest = np.zeros(len(weights))
    rest[kept] = weights[kept]
    return np.asarray(rest * (total / rest.sum()))


def _shares(chosen: Sequence[int], size: int) -> npt.NDArray[np.float64]:
    return np.bincount(np.asarray(chosen), minlength=size) / len(chosen)

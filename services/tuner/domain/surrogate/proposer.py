"""What to try next, from what is known: a random forest and expected improvement (SMAC)."""

from collections.abc import Sequence

import numpy as np

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.encoding import Positions, Rows, Vector
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.acquisition import log_expected_improvement
from services.tuner.domain.surrogate.forest import Forest, ForestSettings, grown
from services.tuner.domain.surrogate.history import Told, View, learnable_costs, learnable_losses
from services.tuner.domain.surrogate.trend import Trend, trend_of

__all__ = ["Told", "propose"]

_LEAST_FIRST, _MOST_FIRST = 4, 12
_RANDOM_SHARE = 0.08
_DRAWN = 1_000
_SPREAD_DRAWN = 100
_MOST_DRAWN = 10_000
_STARTS = 6
_ROUNDS = 4
_BEST, _OTHERS = 100, 200
_BELIEF = ForestSettings(trees=7)
_SMALL = 500


def propose(
    space: Space,
    told: Sequence[Told],
    pending: Sequence[Configuration],
    generator: np.random.Generator,
    count: int = 1,
) -> list[Configuration]:
    """Returns what to try next; the same for the same arguments.

    The default comes first, then what is far from all others, then what promises most by a forest
    that learned from the trials, and now and then something at random. None is told, pending or
    returned twice as long as the space has others.

    Args:
        space: Without flaws.
        told: Trials that ended, in any order.
        pending: Of trials that have not ended.
        generator: Of all chance.
        count: How many are wanted.
    """
    found: list[Configuration] = []
    for _ in range(count):
        found.append(_Proposal(space, told, [*pending, *found], generator).made())
    return found


class _Proposal:
    """One of them."""

    def __init__(
        self,
        space: Space,
        told: Sequence[Told],
        pending: Sequence[Configuration],
        generator: np.random.Generator,
    ) -> None:
        self._space, self._told, self._generator = space, told, generator
        self._encoding = space.encoding
        self._rows = self._encoding.rows([*(each.configuration for each in told), *pending])
        self._known = set(self._encoding.keys(self._rows))
        self._view = list(View)[len(self._rows) % len(View)]

    def made(self) -> Configuration:
        row = self._row() if len(self._rows) else None
        return self._space.default if row is None else self._encoding.configuration(row)

    def _row(self) -> Vector | None:
        first = min(max(len(self._space.parameters) + 1, _LEAST_FIRST), _MOST_FIRST)
        if len(self._rows) < first:
            return self._far()
        if self._generator.random() < _RANDOM_SHARE:
            return self._any()
        losses = learnable_losses(self._told, self._generator, self._view)
        if losses is None:
            return self._far()
        return self._promising(losses)

    def _any(self) -> Vector | None:
        rows = self._fresh(1)
        return rows[0] if len(rows) else None

    def _far(self) -> Vector | None:
        """Returns which of some at random is farthest from all that are known."""
        rows = self._fresh(_SPREAD_DRAWN)
        if not len(rows):
            return None
        distances = _distances(rows, self._rows, self._encoding.choices)
        return _row_at(rows, distances)

    def _promising(self, losses: Vector) -> Vector | None:
        costs, has_trend = learnable_costs(self._told), self._view is not View.SHARP
        judge = _Judge(self._space, self._rows, losses, costs, self._generator, has_trend)
        rows = self._fresh(_DRAWN)
        if not len(rows):
            return None
        promise = judge.promise(rows)
        best = self._rows[: len(losses)][np.argsort(losses, kind="stable")[:_STARTS]]
        top = np.argsort(-promise, kind="stable")[:_STARTS]
        starts = np.concatenate([best, rows[top]])
        climbed, promises = self._climbed(starts, judge)
        seen = np.concatenate([rows, *climbed])
        for place in np.argsort(-np.concatenate([promise, *promises]), kind="stable"):
            if len(self._new(seen[[place]])):
                found: Vector = seen[place]
                return found
        return None

    def _climbed(self, starts: Rows, judge: "_Judge") -> tuple[list[Rows], list[Vector]]:
        """Returns the neighbours that were seen on the way up from starts, and their promise."""
        current, promise = starts, judge.promise(starts)
        seen, promises = list[Rows](), list[Vector]()
        for _ in range(_ROUNDS):
            rows, sources = self._encoding.neighbours(current, self._generator)
            found = judge.promise(rows)
            seen.append(rows)
            promises.append(found)
            order = np.lexsort((-found, sources))
            firsts = order[np.unique(sources[order], return_index=True)[1]]
            better = firsts[found[firsts] > promise[sources[firsts]]]
            current, promise = current.copy(), promise.copy()
            current[sources[better]] = rows[better]
            promise[sources[better]] = found[better]
        return seen, promises

    def _fresh(self, count: int) -> Rows:
        """Returns rows that are not known: all of a small space, else as many as asked for."""
        if self._space.size <= _SMALL:
            return self._new(self._encoding.rows(list(self._space.enumerated())))
        for tries in (max(count, _SPREAD_DRAWN), _MOST_DRAWN):
            rows = self._new(self._encoding.drawn(self._generator, tries))
            if len(rows):
                return rows[:count]
        default = self._encoding.rows([self._space.default])
        starts = np.concatenate([default, self._rows])[:count]
        return self._new(self._encoding.walked(starts, self._generator))

    def _new(self, rows: Rows) -> Rows:
        is_new = [key not in self._known for key in self._encoding.keys(rows)]
        return rows[np.array(is_new, np.bool_)]


class _Judge:
    """Says how much rows promise."""

    def __init__(
        self,
        space: Space,
        known: Rows,
        losses: Vector,
        costs: Vector | None,
        generator: np.random.Generator,
        has_trend: bool,
    ) -> None:
        choices = space.encoding.choices
        pending = known[len(losses) :]
        self._best = float(losses.min())
        kept = _kept(losses, generator)
        told, losses = known[kept], losses[kept]
        self._trend: Trend | None = None
        if has_trend:
            self._trend = trend_of(told, losses, choices)
            losses = losses - self._trend.predicted(told)
        self._costs: Forest | None = None
        if costs is not None:
            self._costs = grown(told, costs[kept], choices, generator)
        if len(pending):
            believed, _ = grown(told, losses, choices, generator, _BELIEF).predicted(pending)
            told, losses = np.concatenate([told, pending]), np.concatenate([losses, believed])
        self._losses = grown(told, losses, choices, generator)

    def promise(self, rows: Rows) -> Vector:
        """Returns the logarithm of the improvement that is expected, for each second of cost."""
        mean, variance = self._losses.predicted(rows)
        if self._trend is not None:
            mean = mean + self._trend.predicted(rows)
        promise = log_expected_improvement(mean, variance, self._best)
        if self._costs is None:
            return promise
        return promise - self._costs.predicted(rows)[0]


def _kept(losses: Vector, generator: np.random.Generator) -> Positions:
    """Returns which trials are learned from: of many, the best and some of the others."""
    ranked = np.argsort(losses, kind="stable")
    best, others = ranked[:_BEST], ranked[_BEST:]
    if len(others) > _OTHERS:
        others = generator.choice(others, _OTHERS, replace=False)
    return np.concatenate([best, others])


def _row_at(rows: Rows, worth: Vector) -> Vector:
    found: Vector = rows[int(worth.argmax())]
    return found


def _distances(rows: Rows, others: Rows, choices: Positions) -> Vector:
    """Returns how far each row is from the nearest other one.

    Ranges are taken as rings, so that the middle is not avoided; choices differ or do not.
    """
    apart = np.abs(rows[:, None, :] - others[None, :, :])
    apart = np.where(apart > 1, 0.5, np.minimum(apart, 1 - apart))
    apart = np.where(choices > 0, (apart > 1e-9) * 0.5, apart)
    found: Vector = (apart**2).sum(axis=2).min(axis=1)
    return found

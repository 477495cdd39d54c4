"""What to try next, from what is known: a random forest and expected improvement (SMAC)."""

from collections.abc import Sequence

import numpy as np

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.encoding import Positions, Rows, Vector
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.history import Told, View, learnable_costs, learnable_losses
from services.tuner.domain.surrogate.judge import Judge

__all__ = ["Told", "propose"]

_LEAST_FIRST, _MOST_FIRST = 4, 12
_RANDOM_SHARE = 0.08
_DRAWN = 1_000
_SPREAD_DRAWN = 100
_MOST_DRAWN = 10_000
_STARTS, _ROUNDS = 6, 4
_POOL, _FEW_STARTS = 300, 2
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
    batch = _Batch(space, told, pending, generator, count)
    return [batch.next() for _ in range(count)]


class _Batch:
    """Several of them, one after the other, each pending for the next."""

    def __init__(
        self,
        space: Space,
        told: Sequence[Told],
        pending: Sequence[Configuration],
        generator: np.random.Generator,
        count: int,
    ) -> None:
        self._space, self._told, self._generator = space, told, generator
        self._encoding = space.encoding
        self._rows = self._encoding.rows([*(each.configuration for each in told), *pending])
        self._known = set(self._encoding.keys(self._rows))
        self._count = count
        self._judges: dict[View, Judge | None] = {}
        self._pools: dict[View, Rows] = {}

    def next(self) -> Configuration:
        row = self._row() if len(self._rows) else None
        if row is None:
            (row,) = self._encoding.rows([self._space.default])
        self._rows = np.concatenate([self._rows, row[None, :]])
        self._known.update(self._encoding.keys(row[None, :]))
        for judge in self._judges.values():
            if judge is not None:
                judge.believe(row)
        return self._encoding.configuration(row)

    def _row(self) -> Vector | None:
        first = min(max(len(self._space.parameters) + 1, _LEAST_FIRST), _MOST_FIRST)
        if len(self._rows) < first:
            return self._far()
        if self._generator.random() < _RANDOM_SHARE:
            return self._any()
        view = list(View)[len(self._rows) % len(View)]
        judge = self._judge(view)
        return self._far() if judge is None else self._promising(view, judge)

    def _judge(self, view: View) -> Judge | None:
        """Returns who looks at losses in a way; None where no trial has succeeded."""
        if view not in self._judges:
            losses = learnable_losses(self._told, self._generator, view)
            self._judges[view] = None if losses is None else self._learned(view, losses)
        return self._judges[view]

    def _learned(self, view: View, losses: Vector) -> Judge:
        told, pending = self._rows[: len(losses)], self._rows[len(losses) :]
        judge = Judge(
            self._encoding.choices,
            told,
            losses,
            learnable_costs(self._told),
            self._generator,
            has_trend=view is not View.SHARP,
            room=len(pending) + self._count,
        )
        for row in pending:
            judge.believe(row)
        return judge

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

    def _promising(self, view: View, judge: Judge) -> Vector | None:
        """Returns what promises most of what is drawn, or was looked at before, and near it."""
        rows = self._new(self._pools.get(view, self._rows[:0]))
        is_first = not len(rows)
        if is_first:
            rows = self._fresh(_DRAWN)
        if not len(rows):
            return None
        promise = judge.promise(rows)
        top = rows[np.argsort(-promise, kind="stable")]
        starts, rounds = top[:_FEW_STARTS], 1
        if is_first:
            starts, rounds = np.concatenate([judge.best(_STARTS), top[:_STARTS]]), _ROUNDS
        climbed, promises = self._climbed(starts, judge, rounds)
        seen = np.concatenate([rows, *climbed])
        order = np.argsort(-np.concatenate([promise, *promises]), kind="stable")
        self._pools[view] = seen[order[:_POOL]]
        for place in order:
            if len(self._new(seen[[place]])):
                found: Vector = seen[place]
                return found
        return None

    def _climbed(self, starts: Rows, judge: Judge, rounds: int) -> tuple[list[Rows], list[Vector]]:
        """Returns the neighbours that were seen on the way up from starts, and their promise."""
        current, promise = starts, judge.promise(starts)
        seen, promises = list[Rows](), list[Vector]()
        for _ in range(rounds):
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

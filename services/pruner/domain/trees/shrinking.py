"""Forests and boosting: how few nodes answer as the whole does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from services.pruner.domain.classical.rows import Rows, brier, most_worse
from services.pruner.domain.trees.likely_rows import dense, likely_rows
from services.pruner.domain.trees.refitting import (
    Floats,
    Positions,
    Refitted,
    Splits,
    SumFit,
    TreeFit,
)

# How far answers may be from the original's, in shares of its own loss.
_DISTANCES = (0.01, 0.02, 0.04)
# How much worse the loss may become, with its error, for each share of distance.
_PATIENCE = 2.5
_FIRST_PRICE, _NEXT_PRICE, _PRICES = 1e-7, 2.0, 14
_SWEEPS = 2


class TreeSum(Protocol):
    """An estimator that adds trees up."""

    @property
    def trees(self) -> Sequence[Splits]:
        """All trees, in their order."""

    @property
    def per_round(self) -> int:
        """How many of them belong together, one for each output."""

    @property
    def prefixes(self) -> Sequence[float]:
        """Which shares of all rounds are tried."""

    @property
    def is_share(self) -> bool:
        """Whether each tree answers with probabilities."""

    def scale(self, count: int) -> float:
        """Returns by which the answers of each tree count when there are this many."""

    def leaves(self, features: Any, count: int) -> Sequence[Positions]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""

    def raw(self, features: Any) -> Floats:
        """Returns what the trees add up to, (rows, outputs)."""

    def answers(self, raw: Floats) -> Floats:
        """Returns probabilities of classes, or values, (rows, classes or 1)."""

    def target(self, total: Floats) -> Floats:
        """Returns what fewer trees should add up to where all add up to this, (rows, outputs)."""

    def curvature(self, raw: Floats) -> Floats:
        """Returns how much a change of each output matters, (rows, outputs)."""

    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns an estimator of the same class with the first trees, fitted again."""


@dataclass(frozen=True)
class Shrunk:
    """A sum of trees with fewer nodes.

    Attributes:
        trees: The first ones, fitted again.
        nodes: Left in all.
        distance: Mean squared distance of its answers to the original's, as a share of its loss.
    """

    trees: tuple[Refitted, ...]
    nodes: int
    distance: float


@dataclass(frozen=True)
class _HeldOut:
    """Rows that smaller sums are judged by."""

    model: TreeSum
    rows: Rows
    classes: Any
    raw: Floats
    answers: Floats
    leaves: Sequence[Positions]

    @classmethod
    def of(cls, model: TreeSum, rows: Rows, classes: Any) -> "_HeldOut":
        raw = model.raw(rows.features)
        leaves = model.leaves(rows.features, len(model.trees))
        return cls(model, rows, classes, raw, model.answers(raw), leaves)

    def losses(self, answers: Floats) -> Floats:
        if self.classes is None:
            return np.square(answers[:, 0] - self.rows.truth)
        return brier(answers, self.rows.truth, self.classes)

    def distance(self, trees: Sequence[Refitted]) -> float:
        """Returns how far answers are from the original's, in shares of its loss.

        Where the truth says so, it is more: a loss that rises counts, with its error.
        """
        found = self.model.answers(self._base + self._total(trees))
        full = self.losses(self.answers)
        far = np.square(found - self.answers).sum(axis=1)
        worse = most_worse(self.losses(found), full)
        loss = max(float(full.mean()), 1e-12)
        return max(most_worse(far, np.zeros(len(far))), worse / _PATIENCE) / loss

    @property
    def _base(self) -> Floats:
        """What is there before the first tree."""
        whole = [Refitted(each.values, np.arange(len(each.values))) for each in self.model.trees]
        return self.raw - self._total(whole)

    def _total(self, trees: Sequence[Refitted]) -> Floats:
        total, scale = np.zeros_like(self.raw), self.model.scale(len(trees))
        for each, splits, leaves in zip(trees, self.model.trees, self.leaves, strict=False):
            total[:, splits.outputs] += scale * each.answers(leaves)
        return total


def shrunk(
    model: TreeSum,
    classes: Any,
    learned: Rows,
    held_out: Rows,
    seed: int,
    check: Callable[[], None],
) -> Iterator[Shrunk]:
    """Yields smaller sums of trees, from the one that is nearest to the original to bolder ones.

    The first trees lose what costs more leaves than it is worth and answer anew for those that are
    gone. How much is decided on held-out rows: by the distance to the original's answers, which
    says more than a few rows' truth, and by their loss with its standard error.

    Args:
        model: The original.
        classes: Of a classifier; None where values are answered.
        learned: Rows that it learned from.
        held_out: Rows that it did not learn from.
        seed: Of the rows that are made.
        check: Raises to stop.
    """
    judge = _HeldOut.of(model, held_out, classes)
    rows = likely_rows(dense(learned.features), seed)
    found: dict[float, Shrunk] = {}
    rounds = len(model.trees) // model.per_round
    for count in sorted({max(1, round(share * rounds)) for share in model.prefixes}):
        wanted = [each for each in _DISTANCES if each not in found]
        for each in _path(model, rows, count * model.per_round, judge, max(wanted), check):
            found |= {share: each for share in wanted if each.distance <= share}
        if len(found) == len(_DISTANCES):
            break
    yield from (found[share] for share in _DISTANCES if share in found)


def _path(
    model: TreeSum,
    rows: Floats,
    count: int,
    judge: _HeldOut,
    largest: float,
    check: Callable[[], None],
) -> Iterator[Shrunk]:
    """Yields the first trees at ever higher prices, until they are too far from the original."""
    raw, leaves = model.raw(rows), model.leaves(rows, len(model.trees))
    weights = model.curvature(raw)
    trees = [
        TreeFit(splits, own, weights[:, splits.outputs], model.is_share)
        for splits, own in zip(model.trees[:count], leaves, strict=False)
    ]
    scale = model.scale(count)
    wanted = model.target(_without_base(model, raw, leaves))
    spread = float((weights * np.square(raw - raw.mean(axis=0))).sum())
    fit = SumFit(trees, scale, wanted, check)
    for step in range(_PRICES):
        price = _FIRST_PRICE * _NEXT_PRICE**step * spread / scale**2
        for _ in range(1 if step else _SWEEPS):
            now = fit.sweep(price)
        distance = judge.distance(now)
        if distance > largest:
            return
        yield Shrunk(tuple(now), sum(len(each.kept) for each in now), distance)


def _without_base(model: TreeSum, raw: Floats, leaves: Sequence[Positions]) -> Floats:
    """Returns what all trees add up to at some rows, (rows, outputs)."""
    total, scale = np.zeros_like(raw), model.scale(len(model.trees))
    for splits, own in zip(model.trees, leaves, strict=True):
        total[:, splits.outputs] += scale * splits.values[own]
    return total

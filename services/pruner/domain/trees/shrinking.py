"""Forests and boosting: how few nodes answer as the whole does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from services.pruner.domain.classical.rows import Rows, most_worse
from services.pruner.domain.trees.likely_rows import dense, likely_rows
from services.pruner.domain.trees.refitting import (
    Floats,
    Leaves,
    Refitted,
    Splits,
    SumFit,
    TreeFit,
    whole,
)
from services.pruner.domain.trees.risk import Risk, regret_of

# What may be lost, from careful to bold: of classes, and of values, whose errors grow half as much.
_CLASS_LIMITS = (Risk(0.001, 0.025), Risk(0.003, 0.05), Risk(0.006, 0.1))
_VALUE_LIMITS = (Risk(0.0, 0.005), Risk(0.0, 0.015), Risk(0.0, 0.04))
_CLASS_PRICE, _VALUE_PRICE, _NEXT_PRICE, _LAST_PRICE = 5e-7, 3e-8, 2.0, 1.1e-3
"""Of a leaf, as a share of what there is to tell: the first one, the factor to the next."""
_SWEEPS = 2
_TINY = 1e-12
# A Brier score of which shares still say something.
_LEAST_LOSS = 0.02
# How much the truth of a row that was learned from counts where it is fitted to.
_TRUST = 2.0
# Trees times rows: four bytes each.
_MOST_LEAVES = 60_000_000


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

    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
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
        risk: What may be lost.
    """

    trees: tuple[Refitted, ...]
    nodes: int
    risk: Risk


@dataclass(frozen=True)
class _HeldOut:
    """Rows that smaller sums are judged by.

    Attributes:
        model: The original.
        truth: 1 at the class of each row, else 0, or values, (rows, classes or 1).
        is_share: Whether these are classes.
        answers: The original's, (rows, classes or 1).
        base: What is there before the first tree, (rows, outputs).
        leaves: In which leaf of each tree rows end.
    """

    model: TreeSum
    truth: Floats
    is_share: bool
    answers: Floats
    base: Floats
    leaves: Sequence[Leaves]

    @classmethod
    def of(cls, model: TreeSum, rows: Rows, classes: Any) -> "_HeldOut":
        raw = model.raw(rows.features)
        leaves = model.leaves(rows.features, len(model.trees))
        base = raw - _total(model, [whole(each) for each in model.trees], leaves, raw.shape)
        truth = truth_of(rows.truth, classes)
        return cls(model, truth, classes is not None, model.answers(raw), base, leaves)

    @property
    def is_modest(self) -> bool:
        """Whether the original is right more often than it says."""
        if not self.is_share:
            return False
        is_right = self.truth[np.arange(len(self.truth)), self.answers.argmax(axis=1)]
        return bool(is_right.mean() > self.answers.max(axis=1).mean())

    def risk(self, trees: Sequence[Refitted]) -> Risk:
        """Returns what is lost with these trees."""
        total = _total(self.model, trees, self.leaves, self.base.shape)
        answers = self.model.answers(self.base + total)
        full = self._losses(self.answers)
        least = _LEAST_LOSS if self.is_share else _TINY
        rise = most_worse(self._losses(answers), full) / max(float(full.mean()), least)
        if not self.is_share:
            return Risk(0.0, self._risen(rise, answers))
        regret = regret_of(self.answers, answers, self.truth)
        return Risk(regret.mean + regret.error, rise)

    def _risen(self, rise: float, answers: Floats) -> float:
        """Returns what values lose: what they moved, unless rows show that it was for good."""
        moved = float(np.square(answers - self.answers).sum(axis=1).mean())
        error = max(float(self._losses(self.answers).mean()), _TINY)
        return rise if rise <= 0 else max(rise, moved / error)

    def _losses(self, answers: Floats) -> Floats:
        found: Floats = np.square(answers - self.truth).sum(axis=1)
        return found


def truth_of(truth: Any, classes: Any) -> Floats:
    """Returns 1 at the class of each row, else 0, or values, (rows, classes or 1)."""
    found = truth[:, None]
    return np.asarray(found if classes is None else found == classes[None], np.float64)


def shrunk(
    model: TreeSum,
    classes: Any,
    learned: Rows,
    held_out: Rows,
    seed: int,
    check: Callable[[], None],
) -> Iterator[Shrunk]:
    """Yields smaller sums of trees, from the one that loses least to bolder ones.

    The first trees lose what costs more leaves than it is worth and answer anew for those that are
    gone. How many trees and how much of them is decided on held-out rows.

    Args:
        model: The original.
        classes: Of a classifier; None where values are answered.
        learned: Rows that it learned from.
        held_out: Rows that it did not learn from.
        seed: Of the rows that are made.
        check: Raises to stop.
    """
    judge = _HeldOut.of(model, held_out, classes)
    fitting = _Fitting.of(model, learned, truth_of(learned.truth, classes), judge.is_modest, seed)
    rounds = len(model.trees) // model.per_round
    limits = _VALUE_LIMITS if classes is None else _CLASS_LIMITS
    best: dict[Risk, Shrunk] = {}
    for count in sorted({max(1, round(share * rounds)) for share in model.prefixes}):
        before = [each.nodes for each in best.values()]
        for each in _path(model, fitting, count * model.per_round, judge, check):
            if not each.risk.is_within(limits[-1]):
                break
            best |= {limit: each for limit in limits if _is_better(each, best.get(limit), limit)}
        if limits[0] in best and before == [each.nodes for each in best.values()]:
            break
    yield from (best[limit] for limit in limits if limit in best)


def _is_better(found: Shrunk, other: Shrunk | None, limit: Risk) -> bool:
    """Returns whether one is within a limit and smaller than another that is."""
    return found.risk.is_within(limit) and (other is None or found.nodes < other.nodes)


@dataclass(frozen=True)
class _Fitting:
    """What smaller sums are fitted to.

    Attributes:
        leaves: In which leaf of each tree rows end.
        wanted: What the trees should add up to, (rows, outputs).
        weights: How much each of these matters, (rows, outputs).
        spread: How much there is to be told by each tree of a round, as a sum of squares.
    """

    leaves: Sequence[Leaves]
    wanted: Floats
    weights: Floats
    spread: float

    @classmethod
    def of(
        cls, model: TreeSum, learned: Rows, truth: Floats, is_modest: bool, seed: int
    ) -> "_Fitting":
        most = _MOST_LEAVES // len(model.trees)
        rows = likely_rows(dense(learned.features), seed, most)
        raw = model.raw(rows.features)
        leaves = model.leaves(rows.features, len(model.trees))
        weights = model.curvature(raw)
        spread = float((weights * np.square(raw - raw.mean(axis=0))).sum()) / model.per_round
        trees = [whole(each) for each in model.trees]
        wanted = model.target(_total(model, trees, leaves, raw.shape))
        if model.is_share and is_modest:
            known = slice(0, len(rows.parents))
            wanted[known] = truth[rows.parents]
            weights[known] *= _TRUST
        return cls(leaves, wanted, weights, spread)


def _path(
    model: TreeSum, fitting: _Fitting, count: int, judge: _HeldOut, check: Callable[[], None]
) -> Iterator[Shrunk]:
    """Yields the first trees at ever higher prices."""
    trees = [
        TreeFit(splits, own, fitting.weights[:, splits.outputs], model.is_share)
        for splits, own in zip(model.trees[:count], fitting.leaves, strict=False)
    ]
    scale = model.scale(count)
    fit = SumFit(trees, scale, fitting.wanted, check)
    first = share = _CLASS_PRICE if judge.is_share else _VALUE_PRICE
    while share < _LAST_PRICE:
        for _ in range(1 if share > first else _SWEEPS):
            now = fit.sweep(share * fitting.spread / scale**2)
        share *= _NEXT_PRICE
        yield Shrunk(tuple(now), sum(len(each.kept) for each in now), judge.risk(now))


def _total(
    model: TreeSum, trees: Sequence[Refitted], leaves: Sequence[Leaves], shape: tuple[int, ...]
) -> Floats:
    """Returns what the first trees add up to, (rows, outputs)."""
    total, scale = np.zeros(shape), model.scale(len(trees))
    for each, splits, own in zip(trees, model.trees, leaves, strict=False):
        total[:, splits.outputs] += scale * each.answers(own)
    return total

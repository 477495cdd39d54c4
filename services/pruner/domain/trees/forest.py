"""Forests: how many of the first trees, and how much of each, are enough."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.tree._tree import Tree

from services.pruner.domain.trees.collapsing import Branches, Collapsed, Floats, rebuilt

_PRICES = 24
_LARGEST_SHARE = 0.999


@dataclass(frozen=True)
class SmallerForest:
    """A forest that was made smaller.

    Attributes:
        estimator: Of the same class as the original.
        trees: How many are left.
        price: What a leaf was said to cost.
        nodes: Left in all.
        before: Nodes of the original.
        loss: On the rows that it was chosen by: Brier score, or squared error.
        full_loss: The original's.
    """

    estimator: Any
    trees: int
    price: float
    nodes: int
    before: int
    loss: float
    full_loss: float


def smaller_forest(
    forest: Any, features: npt.NDArray[np.float32], truth: npt.NDArray[Any], patience: float = 0.02
) -> SmallerForest:
    """Returns a forest with the fewest nodes that answers nearly as well.

    The first trees are taken, of which each is collapsed by the same price for a leaf. Both are
    chosen by a score that looks at probabilities, which tells more of few rows than what share is
    right, and trees keep their order: who picks the best of hundreds of trees by some rows learns
    these rows.

    Args:
        forest: A fitted random forest or extra trees of scikit-learn, with one output.
        features: Of rows that it did not learn from, (rows, columns).
        truth: Classes or values of these rows, (rows,).
        patience: Share by which the score may become worse.
    """
    trees: list[Tree] = [each.tree_ for each in forest.estimators_]
    judge = _Judge.of(forest, trees, features, truth)
    full = float(judge.losses(list(judge.leaves))[-1])
    best: tuple[int, int, float, float] | None = None
    for price in judge.grid():
        losses, nodes = judge.tried(price)
        # One that is good enough by chance is not: all with more trees are, too.
        beyond = np.flatnonzero(losses > (1 + patience) * full)
        count = int(beyond[-1]) + 2 if len(beyond) else 1
        if count <= len(trees) and (best is None or nodes[count - 1] < best[0]):
            best = int(nodes[count - 1]), count, price, float(losses[count - 1])
    before = sum(each.node_count for each in trees)
    if best is None:
        return SmallerForest(forest, len(trees), 0.0, before, before, full, full)
    left, count, price, loss = best
    found = _rebuilt(forest, [each.collapsed(price) for each in judge.trees[:count]])
    return SmallerForest(found, count, price, left, before, loss, full)


@dataclass(frozen=True)
class _Judge:
    """Answers of trees for rows that they did not learn from.

    Attributes:
        trees: In their order.
        leaves: In which leaf of each tree each row ends, (trees, rows).
        wanted: What answers should be, (rows, outputs).
    """

    trees: Sequence[Branches]
    leaves: npt.NDArray[np.int64]
    wanted: Floats

    @classmethod
    def of(
        cls,
        forest: Any,
        trees: Sequence[Tree],
        features: npt.NDArray[np.float32],
        truth: npt.NDArray[Any],
    ) -> "_Judge":
        """Looks all rows up in all trees, once."""
        rows = np.ascontiguousarray(features, np.float32)
        leaves = np.stack([each.apply(rows) for each in trees])
        classes = getattr(forest, "classes_", None)
        wanted = truth[:, None] if classes is None else truth[:, None] == classes[None]
        branches = [Branches(each) for each in trees]
        return cls(branches, leaves, np.asarray(wanted, np.float64))

    def grid(self) -> list[float]:
        """Returns prices to try: from nothing but useless splits to nearly all."""
        gains = np.concatenate([each.gains() for each in self.trees])
        some = gains[gains > 0]
        if not len(some):
            return [0.0]
        shares = np.linspace(0, _LARGEST_SHARE, _PRICES)
        return [0.0, *np.unique(np.quantile(some, shares)).tolist()]

    def tried(self, price: float) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Returns losses and nodes of the first, the first two trees and so on, at a price."""
        some = [each.collapsed(price) for each in self.trees]
        own = [each.stands_for[leaves] for each, leaves in zip(some, self.leaves, strict=True)]
        return self.losses(own), np.cumsum([len(each.kept) for each in some])

    def losses(self, nodes: Sequence[npt.NDArray[np.int64]]) -> Floats:
        """Returns the mean squared error of the first, the first two trees and so on.

        Args:
            nodes: Of each tree the nodes that answer for the rows.
        """
        total = np.zeros_like(self.wanted)
        found = np.empty(len(self.trees))
        for at, (each, own) in enumerate(zip(self.trees, nodes, strict=True)):
            total += each.tree.value[own, 0, :]
            found[at] = np.square(total / (at + 1) - self.wanted).sum(axis=1).mean()
        return found


def _rebuilt(forest: Any, some: Sequence[Collapsed]) -> Any:
    """Returns a forest of the same class with its first trees, collapsed."""
    found = copy.copy(forest)
    found.n_estimators = len(some)
    found.estimators_ = []
    for tree, each in zip(forest.estimators_, some, strict=False):
        smaller = copy.copy(tree)
        smaller.tree_ = rebuilt(tree.tree_, each)
        found.estimators_.append(smaller)
    return found

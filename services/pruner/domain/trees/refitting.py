"""Sums of trees: fewer and smaller ones, fitted again to what the whole sum answers.

Trees keep their splits or lose them; what their nodes answer is found anew, one tree after the
other (backfitting: Friedman and Stuetzle, 1981), so that those that stay make up for those that go.
They are fitted to the answers of the original, which are known at any row and without noise, and
not to the truth of a few rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Leaves = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Level = tuple[Positions, Positions, Positions]

_LEAF = -1
_ROUNDING = 1e-9
# As many rows as a node's own answer counts for when it is found anew.
_PRIOR = 2.0


@dataclass(frozen=True)
class Splits:
    """A tree of which only the shape matters.

    Attributes:
        left: Of each node the left child; -1 for leaves, (nodes,).
        right: The right one, (nodes,).
        values: What each node would answer if it were a leaf, (nodes, outputs of this tree).
        outputs: Which outputs of the sum these are.
    """

    left: Positions
    right: Positions
    values: Floats
    outputs: slice

    def levels(self) -> list[Level]:
        """Returns splits with their children, the root first, then depth by depth."""
        found = []
        nodes = np.zeros(1, np.int64)
        while len(nodes := nodes[self.left[nodes] != _LEAF]):
            found.append((nodes, self.left[nodes], self.right[nodes]))
            nodes = np.concatenate(found[-1][1:])
        return found


@dataclass(frozen=True)
class Refitted:
    """A tree that was fitted again.

    Attributes:
        values: What its nodes answer, (nodes, outputs of this tree).
        stands_for: Of each node the node that answers for it: itself or one above, (nodes,).
    """

    values: Floats
    stands_for: Positions

    @property
    def kept(self) -> Positions:
        """Nodes that are left, ascending."""
        return np.flatnonzero(self.stands_for == np.arange(len(self.stands_for)))

    def answers(self, leaves: Leaves) -> Floats:
        """Returns what it adds for rows, (rows, outputs of this tree).

        Args:
            leaves: In which leaf of the original tree each row ends, (rows,).
        """
        return self.values[self.stands_for[leaves]]


def whole(splits: Splits) -> Refitted:
    """Returns a tree as it is."""
    return Refitted(splits.values, np.arange(len(splits.values)))


class TreeFit:
    """A tree whose answers are fitted to targets at some rows."""

    def __init__(self, splits: Splits, leaves: Leaves, weights: Floats, is_share: bool) -> None:
        """Looks at where rows end.

        Args:
            splits: The tree.
            leaves: In which leaf each row ends, (rows,).
            weights: Of the rows, for each output of the tree, (rows, outputs).
            is_share: Whether answers are probabilities: then they stay at least 0 with sum 1.
        """
        self.splits, self.leaves, self._weights = splits, leaves, weights
        self._levels, self._is_share = splits.levels(), is_share
        self._mass = self._below(weights)
        self._prior = _PRIOR * weights.mean(axis=0)
        self.now = whole(splits)

    def fit(self, targets: Floats, price: float) -> None:
        """Finds answers and leaves that are nearest to targets at a price for each leaf.

        Of all trees that are left when branches are cut off it is the best one, as in minimal
        cost-complexity pruning (Breiman et al., Classification and regression trees, 1984).

        Args:
            targets: What the tree should answer, (rows, outputs of this tree).
            price: What a leaf costs, as a sum of squares.
        """
        prior, mass = self._prior * self.splits.values, self._mass + self._prior
        total = self._below(targets * self._weights) + prior
        values = total / mass
        if self._is_share:
            values = _nearest_shares(values)
        squares = mass * values**2 - 2 * total * values + prior * self.splits.values
        costs = squares.sum(axis=1) + price
        self.now = Refitted(values, self._cheapest(costs))

    def _cheapest(self, costs: Floats) -> Positions:
        """Returns which node answers for each, so that the leaves cost least."""
        is_leaf = np.ones(len(costs), bool)
        for nodes, left, right in reversed(self._levels):
            kept = costs[left] + costs[right]
            is_leaf[nodes] = costs[nodes] <= kept + _ROUNDING
            costs[nodes] = np.minimum(costs[nodes], kept)
        stands_for = np.arange(len(costs))
        for nodes, left, right in self._levels:
            is_gone = is_leaf[nodes] | (stands_for[nodes] != nodes)
            stands_for[left[is_gone]] = stands_for[right[is_gone]] = stands_for[nodes[is_gone]]
        return stands_for

    def _below(self, values: Floats) -> Floats:
        """Returns sums of the rows below each node, (nodes, outputs)."""
        count = len(self.splits.left)
        sums = [np.bincount(self.leaves, column, count) for column in values.T]
        found: Floats = np.stack(sums, axis=1)
        for nodes, left, right in reversed(self._levels):
            found[nodes] = found[left] + found[right]
        return found


class SumFit:
    """A sum of trees that is fitted to the answers of a larger one."""

    def __init__(
        self, trees: Sequence[TreeFit], scale: float, rest: Floats, check: Callable[[], None]
    ) -> None:
        """Starts from what the trees answer.

        Args:
            trees: That are left.
            scale: By which each tree's answers count.
            rest: What the trees should add up to, (rows, outputs).
            check: Raises to stop.
        """
        self._trees, self._scale, self._check = trees, scale, check
        self._missing = rest.copy()
        for each in trees:
            self._missing[:, each.splits.outputs] -= scale * each.now.answers(each.leaves)

    def sweep(self, price: float) -> list[Refitted]:
        """Fits each tree in turn to what the others leave.

        Args:
            price: What a leaf costs, as a sum of squares of a tree's own answers.
        """
        for each in self._trees:
            self._check()
            missing = self._missing[:, each.splits.outputs]
            own = each.now.answers(each.leaves)
            each.fit(own + missing / self._scale, price)
            missing -= self._scale * (each.now.answers(each.leaves) - own)
        return [each.now for each in self._trees]


def _nearest_shares(values: Floats) -> Floats:
    """Returns the probabilities nearest to values, row by row.

    Duchi et al., Efficient projections onto the l1-ball, 2008.
    """
    falling = -np.sort(-values, axis=1)
    beyond = (np.cumsum(falling, axis=1) - 1) / np.arange(1, values.shape[1] + 1)
    last = (falling > beyond).sum(axis=1) - 1
    shares: Floats = np.maximum(values - beyond[np.arange(len(values)), last, None], 0.0)
    return shares

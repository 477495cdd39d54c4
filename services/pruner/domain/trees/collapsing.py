"""Trees with fewer nodes: what a split gains for each leaf it costs, weakest first."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.tree._tree import Tree

Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LEAF = -1
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Collapsed:
    """A tree in which some nodes have become leaves.

    Attributes:
        stands_for: Of each node the node that answers for it: itself or one above, (nodes,).
        kept: Nodes that are left, ascending.
    """

    stands_for: Positions
    kept: Positions


class Branches:
    """A tree by levels, to be collapsed at any price.

    Minimal cost-complexity pruning (Breiman et al., Classification and regression trees, 1984): of
    all trees that are left when branches are cut off, the one with the least sum of impurity and
    price for its leaves.
    """

    def __init__(self, tree: Tree) -> None:
        """Takes a tree with the impurities of its training rows."""
        self.tree = tree
        weights = tree.weighted_n_node_samples
        self._risks = tree.impurity * weights / weights[0]
        self._levels = _levels(tree)

    def gains(self) -> Floats:
        """Returns what each split and those below it take away for a leaf that they add.

        Shares of the impurity of all rows, (splits,).
        """
        leaves, below = np.ones(self.tree.node_count), self._risks.copy()
        found = []
        for nodes, left, right in reversed(self._levels):
            leaves[nodes] = leaves[left] + leaves[right]
            below[nodes] = below[left] + below[right]
            found.append((self._risks[nodes] - below[nodes]) / (leaves[nodes] - 1))
        return np.maximum(np.concatenate(found), 0.0) if found else np.zeros(0)

    def collapsed(self, price: float) -> Collapsed:
        """Returns the tree at a price for a leaf; at 0 only splits that gain nothing go."""
        costs = self._risks + price
        is_leaf = np.ones(self.tree.node_count, bool)
        for nodes, left, right in reversed(self._levels):
            kept = costs[left] + costs[right]
            is_leaf[nodes] = costs[nodes] <= kept + _ROUNDING
            costs[nodes] = np.minimum(costs[nodes], kept)
        stands_for = np.arange(self.tree.node_count)
        for nodes, left, right in self._levels:
            is_gone = is_leaf[nodes] | (stands_for[nodes] != nodes)
            stands_for[left[is_gone]] = stands_for[right[is_gone]] = stands_for[nodes[is_gone]]
        return Collapsed(stands_for, np.flatnonzero(stands_for == np.arange(len(stands_for))))


def _levels(tree: Tree) -> list[tuple[Positions, Positions, Positions]]:
    """Returns splits with their children, the root first, then depth by depth."""
    found = []
    nodes = np.zeros(1, np.int64)
    while len(nodes := nodes[tree.children_left[nodes] != _LEAF]):
        left, right = tree.children_left[nodes], tree.children_right[nodes]
        found.append((nodes, left, right))
        nodes = np.concatenate([left, right])
    return found


def rebuilt(tree: Tree, kept: Positions, values: Floats | None = None) -> Tree:
    """Returns a tree of scikit-learn with the nodes that are left.

    Args:
        tree: The original.
        kept: The nodes, ascending; those whose children are gone become leaves.
        values: What nodes answer if not what they did, (nodes of the original, 1, outputs).
    """
    state = tree.__getstate__()
    places = np.full(tree.node_count, _LEAF, np.int64)
    places[kept] = np.arange(len(kept))
    nodes = state["nodes"][kept].copy()
    lefts = nodes["left_child"]
    is_leaf = (lefts == _LEAF) | (places[lefts] == _LEAF)
    for name in ("left_child", "right_child"):
        nodes[name] = np.where(is_leaf, _LEAF, places[nodes[name]])
    nodes["feature"][is_leaf] = -2
    nodes["threshold"][is_leaf] = -2.0
    new = Tree(tree.n_features, np.asarray(tree.n_classes, np.intp), tree.n_outputs)
    own = np.ascontiguousarray((state["values"] if values is None else values)[kept])
    state |= {"node_count": len(kept), "nodes": nodes, "values": own}
    new.__setstate__(state)
    new.__setstate__(state | {"max_depth": len(_levels(new))})
    return new

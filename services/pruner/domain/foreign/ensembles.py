"""Ensembles of trees as arrays: which leaf a row reaches, and ensembles with fewer nodes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Level = tuple[Positions, Positions, Positions]

LEAF = -1
MODES = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "MEMBER")
_COMPARISONS = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
_MEMBER = MODES.index("MEMBER")
# A leaf that no row reaches counts as half a row: rows that come may reach it.
_UNSEEN = 0.5
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Ensemble:
    """Binary trees whose leaves are summed.

    Attributes:
        roots: First nodes of the trees, (trees,).
        yes: Next node where the comparison holds, `LEAF` in leaves, (nodes,).
        no: Next node where it does not, (nodes,).
        features: Columns that are compared, (nodes,).
        thresholds: What they are compared with, (nodes,).
        modes: How: positions in `MODES`, (nodes,).
        missing_yes: Whether the comparison holds for a missing value, (nodes,).
        members: Values of the sets that nodes compare with, by node.
        values: What leaves add to each target; of other nodes 0, (nodes, targets).
    """

    roots: Positions
    yes: Positions
    no: Positions
    features: Positions
    thresholds: Floats
    modes: Positions
    missing_yes: npt.NDArray[np.bool_]
    members: dict[int, Floats]
    values: Floats

    @property
    def is_leaf(self) -> npt.NDArray[np.bool_]:
        """Tells leaves, (nodes,)."""
        return np.asarray(self.yes == LEAF)

    def levels(self) -> list[Level]:
        """Returns splits with their children, the roots first, then depth by depth."""
        found, nodes = [], self.roots
        while len(nodes := nodes[~self.is_leaf[nodes]]):
            found.append((nodes, self.yes[nodes], self.no[nodes]))
            nodes = np.concatenate([self.yes[nodes], self.no[nodes]])
        return found

    def reached(self, matrix: Floats) -> Positions:
        """Returns the leaf of each tree that rows reach, (rows, trees).

        Args:
            matrix: The rows, (rows, features); NaN where a value is missing.
        """
        trees = len(self.roots)
        nodes = np.tile(self.roots, len(matrix))
        moving = np.flatnonzero(~self.is_leaf[nodes])
        while len(moving):
            at = nodes[moving]
            holds = self._holds(at, matrix[moving // trees, self.features[at]])
            nodes[moving] = np.where(holds, self.yes[at], self.no[at])
            moving = moving[self.yes[nodes[moving]] != LEAF]
        return nodes.reshape(-1, trees)

    def _holds(self, nodes: Positions, numbers: Floats) -> npt.NDArray[np.bool_]:
        modes = self.modes[nodes]
        found = np.zeros(len(nodes), bool)
        for mode in np.unique(modes):
            at = modes == mode
            if mode == _MEMBER:
                pairs = zip(nodes[at], numbers[at], strict=True)
                found[at] = [number in self.members[int(node)] for node, number in pairs]
            else:
                found[at] = _COMPARISONS[mode](numbers[at], self.thresholds[nodes[at]])
        return found | (np.isnan(numbers) & self.missing_yes[nodes])

    def columns(self) -> Positions:
        """Returns the columns that are compared, ascending."""
        return np.unique(self.features[~self.is_leaf])


def first_trees(ensemble: Ensemble, count: int, factor: float = 1.0) -> Ensemble:
    """Returns the first trees, their leaves multiplied by a factor."""
    fewer = replace(ensemble, roots=ensemble.roots[:count], values=ensemble.values * factor)
    return compacted(fewer)


def merged(ensemble: Ensemble) -> Ensemble:
    """Returns an ensemble without splits that make no difference; all outputs stay equal."""
    low, high = ensemble.values.copy(), ensemble.values.copy()
    is_cut = np.zeros(len(low), bool)
    for nodes, yes, no in reversed(ensemble.levels()):
        low[nodes], high[nodes] = np.minimum(low[yes], low[no]), np.maximum(high[yes], high[no])
        is_cut[nodes] = (low[nodes] == high[nodes]).all(axis=1)
    return _cut(ensemble, is_cut, low)


def collapsed(ensemble: Ensemble, counts: Floats, price: float) -> Ensemble:
    """Returns an ensemble in which branches have become leaves: the means of what they said.

    Minimal cost-complexity pruning (Breiman et al., Classification and regression trees, 1984),
    towards what the ensemble itself says instead of labels.

    Args:
        ensemble: The trees.
        counts: How many rows reach each leaf, (nodes,).
        price: Sum of squared differences over rows that a leaf has to be worth.
    """
    weights = np.where(ensemble.is_leaf, np.maximum(counts, _UNSEEN), 0.0)
    sums = weights[:, None] * ensemble.values
    squares = (sums * ensemble.values).sum(axis=1)
    costs, is_cut = np.full(len(weights), price), np.zeros(len(weights), bool)
    for nodes, yes, no in reversed(ensemble.levels()):
        for each in (weights, sums, squares):
            each[nodes] = each[yes] + each[no]
        lost = squares[nodes] - np.square(sums[nodes]).sum(axis=1) / weights[nodes]
        kept = costs[yes] + costs[no]
        is_cut[nodes] = lost + price <= kept + _ROUNDING * squares[nodes]
        costs[nodes] = np.minimum(np.maximum(lost, 0.0) + price, kept)
    return _cut(ensemble, is_cut, sums / np.maximum(weights, _UNSEEN)[:, None])


def leaf_counts(ensemble: Ensemble, matrix: Floats) -> Floats:
    """Returns how many rows reach each leaf, (nodes,)."""
    reached = ensemble.reached(matrix).ravel()
    return np.bincount(reached, minlength=len(ensemble.yes)).astype(np.float64)


def prefix_sums(ensemble: Ensemble, matrix: Floats) -> Iterator[Floats]:
    """Yields what the first tree says, the first two, and so on, each (rows, targets)."""
    total = np.zeros((len(matrix), ensemble.values.shape[1]))
    for leaves in ensemble.reached(matrix).T:
        total = total + ensemble.values[leaves]
        yield total


def compacted(ensemble: Ensemble) -> Ensemble:
    """Returns the nodes that can be reached, tree by tree, each root before its branches."""
    order = [node for root in ensemble.roots.tolist() for node in _below(ensemble, root)]
    kept = np.asarray(order, np.int64)
    places = np.full(len(ensemble.yes) + 1, LEAF, np.int64)  # the last one is the place of LEAF
    places[kept] = np.arange(len(kept))
    members = {int(places[at]): each for at, each in ensemble.members.items() if places[at] >= 0}
    return Ensemble(
        roots=places[ensemble.roots],
        yes=places[ensemble.yes[kept]],
        no=places[ensemble.no[kept]],
        features=ensemble.features[kept],
        thresholds=ensemble.thresholds[kept],
        modes=ensemble.modes[kept],
        missing_yes=ensemble.missing_yes[kept],
        members=members,
        values=ensemble.values[kept],
    )


def _below(ensemble: Ensemble, root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if ensemble.yes[node] != LEAF:
            waiting += [int(ensemble.no[node]), int(ensemble.yes[node])]


def _cut(ensemble: Ensemble, is_cut: npt.NDArray[np.bool_], values: Floats) -> Ensemble:
    """Returns an ensemble whose cut splits are leaves with other values."""
    cut = replace(
        ensemble,
        yes=np.where(is_cut, LEAF, ensemble.yes),
        no=np.where(is_cut, LEAF, ensemble.no),
        modes=np.where(is_cut, 0, ensemble.modes),
        members={node: each for node, each in ensemble.members.items() if not is_cut[node]},
        values=np.where(is_cut[:, None], values, ensemble.values),
    )
    return compacted(cut)

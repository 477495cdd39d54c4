"""Binary trees as flat arrays, and a quick way to send many rows through many trees."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.host.compiling import compiled
from services.outlier.domain.detector import Matrix, Scores

Leaves = npt.NDArray[np.uint16]
Sample = npt.NDArray[np.float32]

DEEPEST = 12
THREADS = 2

_BLOCK = 128
_CHUNK = 16_384


@dataclass(frozen=True)
class Trees:
    """Trees of one depth: the children of node i are 2i+1 and 2i+2, so no pointers are followed.

    Shallower branches are padded: below a leaf all rows go left. Numbers are compared as float32.

    Attributes:
        columns: Features that a node compares, shape (trees, nodes, features of a node).
        weights: Of these features, shaped alike; no nodes where each compares one feature as it is.
        thresholds: Rows that are above it go right, shape (trees, nodes); infinite below leaves.
        values: Of the leaves, shape (trees, leaves).
    """

    columns: npt.NDArray[np.int32]
    weights: Sample
    thresholds: Sample
    values: Matrix

    def leaves(self, values: Matrix | Sample) -> Leaves:
        """Returns the leaf in which each row ends, shape (trees, rows).

        Args:
            values: Numbers of the rows, shape (rows, features).
        """
        # Only the compared features are copied to a block, and blocks are read feature by feature.
        used, positions = np.unique(self.columns, return_inverse=True)
        places = (positions.reshape(self.columns.shape) * _BLOCK).astype(np.uint32)
        found = np.empty((len(self.values), len(values)), np.uint16)
        if self.weights.size:
            _walk_planes(values, used, places, self.weights, self.thresholds, found)
        else:
            _walk(values, used, places[:, :, 0], self.thresholds, found)
        return found

    def mean(self, values: Matrix) -> Scores:
        """Returns the mean of the trees' values for each row, shape (rows,)."""

        def mean_of(part: Matrix) -> Scores:
            total = np.zeros(len(part))
            for tree, leaves in zip(self.values, self.leaves(part), strict=True):
                total += tree[leaves]
            return total / len(self.values)

        return by_chunks(mean_of, values)


def nearness(leaves: Leaves, known: Leaves) -> Scores:
    """Returns the sum of squared proximities of rows to known rows, shape (rows,).

    Proximity is the share of trees in which two rows end in one leaf (Breiman 2001). The nearest
    of the known rows is left out: it may be the row itself.

    Args:
        leaves: Of the rows, shape (trees, rows).
        known: Leaves of the known rows, shape (trees, known rows).
    """
    total = np.empty(leaves.shape[1])
    _add_nearness(leaves, known, total)
    return total


def by_chunks(work: Callable[[Matrix], Scores], values: Matrix, size: int = _CHUNK) -> Scores:
    """Returns the scores of all rows, found some thousand rows at a time in two threads.

    Args:
        work: Scores a part of the rows, whichever the others are.
        values: Numbers of the rows, shape (rows, features).
        size: Rows of a part.
    """
    scores = np.empty(len(values))

    def fill(start: int) -> None:
        scores[start : start + size] = work(values[start : start + size])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(fill, range(0, len(values), size)))
    return scores


def copy_trees(trees: list[Any], values: list[Matrix], depth: int) -> Trees:
    """Returns trees of scikit-learn as arrays.

    Args:
        trees: The `tree_` of fitted estimators, none deeper than `depth`.
        values: What each node of each tree stands for, shape (nodes,).
        depth: Levels of nodes, at most `DEEPEST`.
    """
    copied = [
        _copy_tree(tree, of_nodes, depth) for tree, of_nodes in zip(trees, values, strict=True)
    ]
    columns, thresholds, leaves = (np.stack(parts) for parts in zip(*copied, strict=True))
    return Trees(columns[:, :, None], np.empty((0, 0, 0), np.float32), thresholds, leaves)


def _copy_tree(
    tree: Any, values: Matrix, depth: int
) -> tuple[npt.NDArray[np.int32], Sample, Matrix]:
    """Returns the columns, thresholds and leaf values of one tree, level by level."""
    columns, thresholds = [], []
    level = np.zeros(1, np.int64)
    for _ in range(depth):
        ended = tree.children_left[level] < 0
        columns.append(np.where(ended, 0, tree.feature[level]))
        thresholds.append(np.where(ended, np.inf, tree.threshold[level]))
        children = (tree.children_left[level], tree.children_right[level])
        level = np.stack([np.where(ended, level, child) for child in children], axis=1).ravel()
    exact = np.concatenate(thresholds)
    rounded = exact.astype(np.float32)
    rounded[rounded > exact] = np.nextafter(rounded, np.float32(-np.inf))[rounded > exact]
    return np.concatenate(columns).astype(np.int32), rounded, values[level]


@compiled
def _walk(values: Any, used: Any, places: Any, thresholds: Any, found: Any) -> None:
    """Fills in the leaves of rows whose trees compare single features."""
    count = len(values)
    trees, inner = thresholds.shape
    block = np.zeros(len(used) * _BLOCK, np.float32)
    nodes = np.zeros(_BLOCK, np.uint32)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        for row in range(size):
            for column in range(len(used)):
                block[column * _BLOCK + row] = values[start + row, used[column]]
        for tree in range(trees):
            nodes[:] = 0
            above, compared = thresholds[tree], places[tree]
            level = 0
            while level < inner:
                for row in range(_BLOCK):
                    node = nodes[row]
                    right = block[compared[node] + np.uint32(row)] > above[node]
                    nodes[row] = np.uint32(2) * node + np.uint32(1) + np.uint32(right)
                level = 2 * level + 1
            for row in range(size):
                found[tree, start + row] = nodes[row] - np.uint32(inner)


@compiled
def _walk_planes(
    values: Any, used: Any, places: Any, weights: Any, thresholds: Any, found: Any
) -> None:
    """Fills in the leaves of rows whose trees compare sums of features."""
    count = len(values)
    trees, inner = thresholds.shape
    block = np.zeros(len(used) * _BLOCK, np.float32)
    nodes = np.zeros(_BLOCK, np.uint32)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        for row in range(size):
            for column in range(len(used)):
                block[column * _BLOCK + row] = values[start + row, used[column]]
        for tree in range(trees):
            nodes[:] = 0
            above, compared, factors = thresholds[tree], places[tree], weights[tree]
            level = 0
            while level < inner:
                for row in range(_BLOCK):
                    node = nodes[row]
                    total = np.float32(0)
                    for part in range(compared.shape[1]):
                        place = compared[node, part] + np.uint32(row)
                        total += factors[node, part] * block[place]
                    nodes[row] = np.uint32(2) * node + np.uint32(1) + np.uint32(total > above[node])
                level = 2 * level + 1
            for row in range(size):
                found[tree, start + row] = nodes[row] - np.uint32(inner)


@compiled
def _add_nearness(leaves: Any, known: Any, total: Any) -> None:
    """Fills in the sums of squared proximities."""
    trees, others = known.shape
    shared = np.empty(others, np.uint16)
    for row in range(leaves.shape[1]):
        shared[:] = 0
        for tree in range(trees):
            leaf = leaves[tree, row]
            for other in range(others):
                shared[other] += np.uint16(known[tree, other] == leaf)
        summed, nearest = 0.0, 0.0
        for other in range(others):
            square = (float(shared[other]) / trees) ** 2
            summed += square
            nearest = max(nearest, square)
        total[row] = summed - nearest

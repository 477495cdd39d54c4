"""Forests of scikit-learn as sums of trees."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from services.pruner.domain.trees.collapsing import rebuilt
from services.pruner.domain.trees.refitting import Floats, Leaves, Refitted, Splits

_SURER = 1.1
# A lead of the likeliest class at which rows count half as much as those without any.
_CLOSE = 0.1


class ForestSum:
    """A random forest or extra trees with one output: the mean of its trees."""

    per_round = 1
    prefixes = (0.1, 0.2, 0.4, 0.8)

    def __init__(self, forest: Any) -> None:
        """Takes a fitted forest."""
        self._forest = forest
        self.is_share = hasattr(forest, "classes_")

    @cached_property
    def trees(self) -> Sequence[Splits]:
        """All trees, in their order."""
        return [splits_of(each.tree_) for each in self._forest.estimators_]

    def scale(self, count: int) -> float:
        """Returns the share of each tree in the mean."""
        return 1 / count

    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""
        rows = single(features)
        found = (each.tree_.apply(rows) for each in self._forest.estimators_[:count])
        return [each.astype(np.int32) for each in found]

    def raw(self, features: Any) -> Floats:
        """Returns the mean of all trees, (rows, classes or 1)."""
        rows = single(features)
        total = sum(_answers(each.tree_, rows) for each in self._forest.estimators_)
        return np.asarray(total / len(self._forest.estimators_), np.float64)

    def answers(self, raw: Floats) -> Floats:
        """Returns the same: the mean is the answer."""
        return raw

    def target(self, total: Floats) -> Floats:
        """Returns probabilities a little surer of themselves: smaller forests become less sure."""
        if not self.is_share:
            return total
        surer = np.maximum(total, 0.0) ** _SURER
        return np.asarray(surer / surer.sum(axis=1, keepdims=True), np.float64)

    def curvature(self, raw: Floats) -> Floats:
        """Returns more for rows where the likeliest class has little lead, 1 in the mean."""
        if not self.is_share or raw.shape[1] < 2:
            return np.ones_like(raw)
        second, first = np.partition(raw, -2, axis=1)[:, -2:].T
        found = 1 / (first - second + _CLOSE)
        return np.repeat(found[:, None] / found.mean(), raw.shape[1], axis=1)

    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns a forest of the same class with the first trees, fitted again."""
        found = copy.copy(self._forest)
        found.n_estimators = len(trees)
        found.estimators_ = [
            refitted_tree(*pair) for pair in zip(self._forest.estimators_, trees, strict=False)
        ]
        return found


def splits_of(tree: Tree) -> Splits:
    """Returns the shape of a tree of scikit-learn and what its nodes answer."""
    width = tree.value.shape[2]
    return Splits(tree.children_left, tree.children_right, tree.value[:, 0, :], slice(0, width))


def refitted_tree(estimator: Any, found: Refitted) -> Any:
    """Returns a decision tree with the nodes that are left and what they now answer."""
    smaller = copy.copy(estimator)
    smaller.tree_ = rebuilt(estimator.tree_, found.kept, found.values[:, None, :])
    return smaller


def single(features: Any) -> Any:
    """Returns features as trees take them."""
    if hasattr(features, "tocsr"):
        return features.tocsr().astype(np.float32)
    return np.ascontiguousarray(features, np.float32)


def _answers(tree: Tree, rows: Any) -> Floats:
    found: Floats = tree.predict(rows)
    return found.reshape(len(found), -1)

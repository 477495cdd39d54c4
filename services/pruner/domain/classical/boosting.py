"""Boosted trees of scikit-learn and LightGBM as sums of trees."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from services.pruner.domain.classical.forests import refitted_tree, single
from services.pruner.domain.classical.rows import named
from services.pruner.domain.trees.refitting import Floats, Leaves, Refitted, Splits

# So that rows of which the original is certain still matter.
_LEAST_CURVATURE = 0.1


class BoostedSum(ABC):
    """Boosted trees: rounds of one tree for each output, added to a constant."""

    prefixes = (1.0,)
    is_share = False

    def __init__(self, estimator: Any) -> None:
        """Takes a fitted estimator."""
        self._estimator = estimator
        self._is_classifier = hasattr(estimator, "classes_")

    @property
    @abstractmethod
    def trees(self) -> Sequence[Splits]:
        """All trees, round by round."""

    @property
    @abstractmethod
    def per_round(self) -> int:
        """Trees of a round, one for each output."""

    @abstractmethod
    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""

    @abstractmethod
    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns an estimator of the same class with the first trees, fitted again."""

    def scale(self, count: int) -> float:
        """Returns 1: trees are added as they are."""
        return 1.0

    def raw(self, features: Any) -> Floats:
        """Returns scores before they become probabilities or values, (rows, outputs)."""
        rows = named(self._estimator, features)
        if self._is_classifier:
            found = self._estimator.decision_function(rows)
        else:
            found = self._estimator.predict(rows)
            found = np.log(found) if self._is_log else found
        return np.asarray(found, np.float64).reshape(len(found), -1)

    def answers(self, raw: Floats) -> Floats:
        """Returns probabilities of classes, or values, (rows, classes or 1)."""
        if not self._is_classifier:
            return np.exp(raw) if self._is_log else raw
        if raw.shape[1] > 1:
            return np.asarray(softmax(raw, axis=1))
        shares = expit(self._steepness * raw)
        return np.hstack([1 - shares, shares])

    def target(self, total: Floats) -> Floats:
        """Returns the same: fewer trees should add up to what all do."""
        return total

    def curvature(self, raw: Floats) -> Floats:
        """Returns how much scores matter: little where the answer is certain, (rows, outputs)."""
        if not self._is_classifier:
            return np.ones_like(raw)
        shares = self.answers(raw)[:, -raw.shape[1] :]
        return shares * (1 - shares) + _LEAST_CURVATURE

    @property
    def _is_log(self) -> bool:
        """Whether scores are logarithms of values."""
        return getattr(self._estimator, "loss", "") in ("poisson", "gamma")

    @property
    def _steepness(self) -> float:
        """How steeply the probability rises with the score."""
        return 2.0 if getattr(self._estimator, "loss", "") == "exponential" else 1.0

    def _output(self, place: int) -> slice:
        """Returns the output of the tree at a place."""
        return slice(place % self.per_round, place % self.per_round + 1)


class GradientSum(BoostedSum):
    """`GradientBoostingClassifier` or `GradientBoostingRegressor`."""

    @property
    def per_round(self) -> int:
        """Trees of a round, one for each output."""
        return int(self._estimator.estimators_.shape[1])

    @cached_property
    def trees(self) -> Sequence[Splits]:
        """All trees, round by round; their answers are the original's times the learning rate."""
        found = []
        for place, each in enumerate(self._estimator.estimators_.ravel()):
            tree = each.tree_
            values = self._estimator.learning_rate * tree.value[:, 0, :]
            own = (tree.children_left, tree.children_right, values, self._output(place))
            found.append(averaged(Splits(*own), tree.weighted_n_node_samples))
        return found

    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""
        rows = single(features)
        found = (each.tree_.apply(rows) for each in self._estimator.estimators_.ravel()[:count])
        return [each.astype(np.int32) for each in found]

    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns an estimator of the same class with the first trees, fitted again."""
        found = copy.copy(self._estimator)
        rate, own = found.learning_rate, found.estimators_.ravel()
        some = np.empty(len(trees), object)
        some[:] = [
            refitted_tree(tree, Refitted(each.values / rate, each.stands_for))
            for tree, each in zip(own, trees, strict=False)
        ]
        found.estimators_ = some.reshape(-1, self.per_round)
        found.n_estimators = found.n_estimators_ = len(found.estimators_)
        found.train_score_ = found.train_score_[: found.n_estimators]
        return found


class HistogramSum(BoostedSum):
    """`HistGradientBoostingClassifier` or `HistGradientBoostingRegressor`."""

    @property
    def per_round(self) -> int:
        """Trees of a round, one for each output."""
        return int(self._estimator.n_trees_per_iteration_)

    @property
    def _predictors(self) -> list[Any]:
        return [each for some in self._estimator._predictors for each in some]

    @cached_property
    def trees(self) -> Sequence[Splits]:
        """All trees, round by round."""
        found = []
        for place, each in enumerate(self._predictors):
            nodes = each.nodes
            is_leaf = nodes["is_leaf"].astype(bool)
            left, right = (
                np.where(is_leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right")
            )
            splits = Splits(left, right, nodes["value"][:, None].copy(), self._output(place))
            found.append(averaged(splits, nodes["count"].astype(np.float64)))
        return found

    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""
        rows = self._estimator._preprocess_X(named(self._estimator, features), reset=False)
        categories = self._estimator._bin_mapper.make_known_categories_bitsets()
        return [
            _numbered(each).predict(rows, *categories, n_threads=1).astype(np.int32)
            for each in self._predictors[:count]
        ]

    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns an estimator of the same class with the first trees, fitted again."""
        some = [
            _with_nodes(each, found) for each, found in zip(self._predictors, trees, strict=False)
        ]
        found = copy.copy(self._estimator)
        size = self.per_round
        found._predictors = [some[at : at + size] for at in range(0, len(some), size)]
        found.max_iter = len(found._predictors)
        return found


def averaged(splits: Splits, counts: Floats) -> Splits:
    """Returns a tree whose splits answer with the mean of their leaves.

    Args:
        splits: A tree of which only the leaves' answers are known.
        counts: Rows of each node, (nodes,).
    """
    values = splits.values.copy()
    for nodes, left, right in reversed(splits.levels()):
        share = (counts[left] / np.maximum(counts[left] + counts[right], 1e-12))[:, None]
        values[nodes] = share * values[left] + (1 - share) * values[right]
    return Splits(splits.left, splits.right, values, splits.outputs)


def _numbered(predictor: Any) -> Any:
    """Returns a tree that answers with the places of its nodes."""
    found = copy.copy(predictor)
    found.nodes = predictor.nodes.copy()
    found.nodes["value"] = np.arange(len(found.nodes))
    return found


def _with_nodes(predictor: Any, found: Refitted) -> Any:
    """Returns a tree with the nodes that are left and what they now answer."""
    kept = found.kept
    places = np.zeros(len(predictor.nodes), np.int64)
    places[kept] = np.arange(len(kept))
    nodes = predictor.nodes[kept].copy()
    is_leaf = nodes["is_leaf"].astype(bool) | (found.stands_for[nodes["left"]] == kept)
    for side in ("left", "right"):
        nodes[side] = np.where(is_leaf, 0, places[nodes[side]])
    nodes["is_leaf"], nodes["value"] = is_leaf, found.values[kept, 0]
    smaller = copy.copy(predictor)
    smaller.nodes = nodes
    return smaller

"""Trees as ONNX operators."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from sklearn.tree import BaseDecisionTree

from common.models.twins.graph import TREES, Graph, tensor

_LEQ, _MEMBER = 0, 6
_SUM = 1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A tree whose nodes are numbered, the root first; a negative child is a leaf, ~ its number.

    Attributes:
        features: Column that each node looks at.
        thresholds: Values up to which a row goes left.
        members: Of each node, values with which a row goes left; None where a threshold counts.
        missing_left: Whether a row goes left whose value is missing.
        left: Children.
        right: Children.
        leaves: What each leaf adds.
        target: Which output it adds to.
    """

    features: Sequence[int]
    thresholds: Sequence[float]
    members: Sequence[Sequence[float] | None]
    missing_left: Sequence[bool]
    left: Sequence[int]
    right: Sequence[int]
    leaves: Sequence[float]
    target: int = 0


@dataclass
class _Parts:
    """The attributes of the operator, as they grow."""

    modes: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    children: dict[str, list[int]] = field(default_factory=lambda: {"true": [], "false": []})
    are_leaves: dict[str, list[int]] = field(default_factory=lambda: {"true": [], "false": []})
    roots: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, tree: Tree) -> None:
        start, leaf = len(self.modes), len(self.weights)
        self.roots.append(start)
        self.weights += map(float, tree.leaves)
        self.targets += [tree.target] * len(tree.leaves)
        if not len(tree.features):
            self._add_stump(leaf)
            return
        for members, threshold in zip(tree.members, tree.thresholds, strict=True):
            self.modes.append(_MEMBER if members else _LEQ)
            # Sets follow each other, with no number between them; nothing is in an empty one.
            self.members += [*map(float, members), float("nan")] if members else []
            self.splits.append(float(threshold) if members is None else -float("inf"))
        self.features += map(int, tree.features)
        self.missing += map(int, tree.missing_left)
        for side, children in (("true", tree.left), ("false", tree.right)):
            self.children[side] += [start + at if at >= 0 else leaf + ~at for at in children]
            self.are_leaves[side] += [int(at < 0) for at in children]

    def _add_stump(self, leaf: int) -> None:
        """Adds a tree that is a leaf: the operator needs a node."""
        self.modes.append(_LEQ)
        self.features.append(0)
        self.splits.append(0.0)
        self.missing.append(1)
        for side in ("true", "false"):
            self.children[side].append(leaf)
            self.are_leaves[side].append(1)


def trees(graph: Graph, matrix: str, found: Sequence[Tree], targets: int) -> str:
    """Returns the sums of what trees say, (rows, targets)."""
    parts = _Parts()
    for each in found:
        parts.add(each)
    more: dict[str, Any] = {}
    if parts.members:
        more["membership_values"] = tensor(np.array(parts.members))
    return graph.add(
        "TreeEnsemble",
        matrix,
        domain=TREES,
        n_targets=targets,
        aggregate_function=_SUM,
        post_transform=0,
        tree_roots=parts.roots,
        nodes_modes=tensor(np.array(parts.modes, np.uint8)),
        nodes_featureids=parts.features,
        nodes_splits=tensor(np.array(parts.splits)),
        nodes_truenodeids=parts.children["true"],
        nodes_trueleafs=parts.are_leaves["true"],
        nodes_falsenodeids=parts.children["false"],
        nodes_falseleafs=parts.are_leaves["false"],
        nodes_missing_value_tracks_true=parts.missing,
        leaf_targetids=parts.targets,
        leaf_weights=tensor(np.array(parts.weights)),
        **more,
    )


def forest(graph: Graph, matrix: str, estimators: Sequence[BaseDecisionTree]) -> list[str]:
    """Returns the means of what trees of scikit-learn say, for each output (rows, values)."""
    values = [each.tree_.value for each in estimators]
    _, outputs, width = values[0].shape
    # scikit-learn compares numbers as float32.
    single = graph.cast(graph.cast(matrix, TensorProto.FLOAT))
    if outputs == 1 and width == 1:
        leaves = [each[:, 0, 0] / len(values) for each in values]
        found = trees(graph, single, _all(estimators, leaves, [0] * len(values)), 1)
        return [found]
    if outputs == 1 and width == 2:
        leaves = [_shares(each)[:, 0, 1] / len(values) for each in values]
        second = trees(graph, single, _all(estimators, leaves, [0] * len(values)), 1)
        return [graph.beside([graph.add("Sub", graph.constant(1.0), second), second])]
    return _looked_up(graph, single, estimators)


def _looked_up(graph: Graph, matrix: str, estimators: Sequence[BaseDecisionTree]) -> list[str]:
    """Returns the same where a leaf has many values: the operator finds its place in a table."""
    tables = [_shares(each.tree_.value) for each in estimators]
    starts = np.cumsum([0, *(len(each) for each in tables[:-1])])
    leaves = [start + np.arange(len(each)) for start, each in zip(starts, tables, strict=True)]
    count = len(estimators)
    told = trees(graph, matrix, _all(estimators, leaves, list(range(count))), count)
    places = graph.cast(told, TensorProto.INT64)
    found = []
    for output in range(tables[0].shape[1]):
        table = np.concatenate([each[:, output] for each in tables])
        values = graph.add("Gather", graph.constant(table), places, axis=0)
        found.append(graph.add("ReduceMean", values, graph.ints([1]), keepdims=0))
    return found


def _all(
    estimators: Sequence[BaseDecisionTree], leaves: Sequence[Any], targets: Sequence[int]
) -> list[Tree]:
    return [
        _plain(each.tree_, own, target)
        for each, own, target in zip(estimators, leaves, targets, strict=True)
    ]


def _plain(tree: Any, leaves: Any, target: int) -> Tree:
    """Returns a tree of scikit-learn, where each node may be a leaf."""
    is_leaf = tree.children_left < 0
    number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    inner = np.flatnonzero(~is_leaf)
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(is_leaf)))
    return Tree(
        features=tree.feature[inner].tolist(),
        thresholds=tree.threshold[inner].tolist(),
        members=[None] * len(inner),
        missing_left=(missing[inner] != 0).tolist(),
        left=number[tree.children_left[inner]].tolist(),
        right=number[tree.children_right[inner]].tolist(),
        leaves=np.asarray(leaves, np.float64)[is_leaf].tolist(),
        target=target,
    )


def _shares(values: Floats) -> Floats:
    """Returns what leaves hold as probabilities, (nodes, outputs, classes)."""
    return np.asarray(values / values.sum(axis=2, keepdims=True))

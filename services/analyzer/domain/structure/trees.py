"""Decision trees of any library behind one shape. Imports scikit-learn."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from services.analyzer.domain.structure.estimators import branches_of

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A tree.

    Attributes:
        depth: Edges from the root to the deepest leaf.
        leaves: Number of leaves.
        columns: Positions of the columns that nodes split on, (splits,).
        thresholds: Where they split, NaN for categories, (splits,).
    """

    depth: int
    leaves: int
    columns: Counts
    thresholds: Floats

    @property
    def nodes(self) -> int:
        """Nodes, leaves included."""
        return self.leaves + len(self.columns)


def trees_of(estimator: Any) -> list[Tree]:
    """Returns the trees of a fitted estimator of scikit-learn; none of others.

    What works inside as a step of its own (see `branches_of`) has its trees itself.
    """
    if hasattr(estimator, "tree_"):
        return [_plain(estimator.tree_)]
    if hasattr(estimator, "_predictors"):  # boosting of histograms
        return [_boosted(each.nodes) for stage in estimator._predictors for each in stage]
    if any(True for _ in branches_of(estimator)):
        return []
    members = getattr(estimator, "estimators_", None)
    listed = members.ravel() if isinstance(members, np.ndarray) else members or ()
    found = [trees_of(member) for member in listed]
    drawn = getattr(estimator, "estimators_features_", None)
    if drawn is not None:  # bagging: each member was given some columns alone
        pairs = zip(found, drawn, strict=True)
        found = [
            [replace(tree, columns=np.asarray(columns, np.int64)[tree.columns]) for tree in trees]
            for trees, columns in pairs
        ]
    return [tree for trees in found for tree in trees]


def onnx_trees(node: onnx.NodeProto) -> list[Tree]:
    """Returns the trees of a tree ensemble of ONNX; none of other nodes."""
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if "nodes_treeids" not in values:
        return []
    trees = np.asarray(values["nodes_treeids"])
    return [_of_nodes(values, np.flatnonzero(trees == number)) for number in np.unique(trees)]


def _plain(tree: Any) -> Tree:
    is_split = tree.children_left >= 0
    columns = tree.feature[is_split].astype(np.int64)
    return Tree(int(tree.max_depth), int(tree.n_leaves), columns, tree.threshold[is_split])


def _boosted(nodes: npt.NDArray[Any]) -> Tree:
    splits = nodes[nodes["is_leaf"] == 0]
    thresholds = np.where(splits["is_categorical"] != 0, np.nan, splits["num_threshold"])
    return Tree(
        depth=int(nodes["depth"].max()),
        leaves=len(nodes) - len(splits),
        columns=splits["feature_idx"].astype(np.int64),
        thresholds=thresholds.astype(np.float64),
    )


def _of_nodes(values: dict[str, Any], places: Counts) -> Tree:
    modes = [values["nodes_modes"][place] for place in places]
    splits = places[[mode != b"LEAF" for mode in modes]]
    columns = np.asarray(values["nodes_featureids"], np.int64)[splits]
    thresholds = np.asarray(values.get("nodes_values", values.get("nodes_values_as_tensor")))
    depth = max(_depths(values, places, {int(each) for each in splits}), default=0)
    leaves = len(places) - len(splits)
    return Tree(depth, leaves, columns, np.asarray(thresholds[splits], np.float64))


def _depths(values: dict[str, Any], places: Counts, splits: set[int]) -> Iterator[int]:
    """Yields the depths of the leaves of a tree, from its first node on."""
    by_id = {values["nodes_nodeids"][place]: int(place) for place in places}
    pending = [(int(places[0]), 0)]
    seen: defaultdict[int, bool] = defaultdict(bool)
    while pending:
        place, depth = pending.pop()
        if place not in splits or seen[place]:
            yield depth
            continue
        seen[place] = True
        for branch in ("nodes_truenodeids", "nodes_falsenodeids"):
            pending.append((by_id[values[branch][place]], depth + 1))

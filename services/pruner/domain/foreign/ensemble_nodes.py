"""Ensembles of trees in ONNX: the nodes of ai.onnx.ml, versions 1 to 5, as arrays and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from services.pruner.domain.foreign.ensembles import LEAF, MODES, Ensemble, compacted
from services.pruner.domain.foreign.graphs import Array, as_array, attributes

DOMAIN = "ai.onnx.ml"
_OLD = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}
_NEW = "TreeEnsemble"
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_LARGEST_VALUES = 30_000_000


class UnreadableTreesError(ValueError):
    """A node whose trees are left alone; says why."""


@dataclass(frozen=True)
class TreeNode:
    """A node of trees.

    Attributes:
        ensemble: Its trees.
        aggregate: How trees are put together: AVERAGE, SUM, MIN or MAX.
        targets: Targets that any leaf adds to; the runtime tells kinds of problems by them.
        is_negative: Whether any leaf takes away; the runtime tells kinds of problems by it.
    """

    ensemble: Ensemble
    aggregate: str
    targets: npt.NDArray[np.int64]
    is_negative: bool


def is_trees(node: onnx.NodeProto) -> bool:
    """Returns whether a node holds an ensemble of trees."""
    return node.domain == DOMAIN and (node.op_type in _OLD or node.op_type == _NEW)


def read_trees(node: onnx.NodeProto) -> TreeNode:
    """Returns the trees of a node.

    Raises:
        UnreadableTreesError: They are no trees, or hold too many numbers.
    """
    given = attributes(node)
    return _read_new(given) if node.op_type == _NEW else _read_old(given, _OLD[node.op_type])


def written_trees(node: onnx.NodeProto, found: TreeNode, ensemble: Ensemble) -> onnx.NodeProto:
    """Returns a node with other trees.

    Raises:
        UnreadableTreesError: The node's kind cannot say them.
    """
    new = onnx.NodeProto()
    new.CopyFrom(node)
    given = attributes(node)
    if node.op_type == _NEW:
        values = _written_new(given, found, ensemble)
    else:
        values = _written_old(given, _OLD[node.op_type], found, ensemble)
    # For speed of other runtimes only.
    gone = {*values, "nodes_hitrates", "nodes_hitrates_as_tensor"}
    kept = [each for each in node.attribute if each.name not in gone]
    del new.attribute[:]
    new.attribute.extend(kept)
    new.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in values.items()
        if isinstance(value, onnx.TensorProto) or len(value)
    )
    return new


def _numbers(given: dict[str, Any], name: str) -> Array:
    return as_array(given.get(f"{name}_as_tensor", given.get(name, [])))


def _read_old(given: dict[str, Any], leaf: str) -> TreeNode:
    trees, ids = as_array(given["nodes_treeids"]), as_array(given["nodes_nodeids"])
    places = {key: at for at, key in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    modes = [mode.decode().removeprefix("BRANCH_") for mode in given["nodes_modes"]]
    is_leaf = np.array([mode == "LEAF" for mode in modes])
    yes, no = (_places(given[f"nodes_{x}nodeids"], trees, places, is_leaf) for x in _SIDES)
    added = zip(*(given[f"{leaf}_{x}ids"] for x in ("tree", "node")), strict=True)
    rows = np.array([places[key] for key in added], np.int64)
    targets, weights = as_array(given[f"{leaf}_ids"]), _numbers(given, f"{leaf}_weights")
    count = int(given.get("n_targets", 0)) or _class_count(given)
    values = _values(len(modes), max(count, int(targets.max(initial=0)) + 1))
    np.add.at(values, (rows, targets), weights)
    missing = as_array(given.get("nodes_missing_value_tracks_true", []))
    ensemble = Ensemble(
        roots=_roots(yes, no),
        yes=yes,
        no=no,
        features=as_array(given["nodes_featureids"]).astype(np.int64),
        thresholds=_numbers(given, "nodes_values").astype(np.float64),
        modes=np.array([0 if mode == "LEAF" else MODES.index(mode) for mode in modes], np.int64),
        missing_yes=missing.astype(bool) if len(missing) else np.zeros(len(modes), bool),
        members={},
        values=values,
    )
    aggregate = given.get("aggregate_function", b"SUM").decode()
    is_negative = bool((weights < 0).any())
    return TreeNode(_sound(ensemble), aggregate, np.unique(targets), is_negative)


_SIDES = ("true", "false")


def _class_count(given: dict[str, Any]) -> int:
    labels = given.get("classlabels_int64s") or given.get("classlabels_strings") or ()
    return len(labels)


def _places(
    ids: list[int], trees: Array, places: dict[tuple[int, int], int], is_leaf: Array
) -> npt.NDArray[np.int64]:
    found = np.full(len(ids), LEAF, np.int64)
    for node in np.flatnonzero(~is_leaf).tolist():
        found[node] = places[int(trees[node]), ids[node]]
    return found


def _roots(yes: Array, no: Array) -> npt.NDArray[np.int64]:
    """Returns nodes that no other leads to, in their order."""
    is_root = np.ones(len(yes), bool)
    for children in (yes, no):
        is_root[children[children != LEAF]] = False
    return np.flatnonzero(is_root)


def _values(nodes: int, targets: int) -> npt.NDArray[np.float64]:
    if nodes * targets > _LARGEST_VALUES:
        raise UnreadableTreesError(
            f"{nodes:,} nodes for {targets:,} targets are more numbers than are looked at"
        )
    return np.zeros((nodes, targets))


def _sound(ensemble: Ensemble) -> Ensemble:
    """Returns an ensemble whose every node has one way to it."""
    children = np.concatenate([ensemble.yes, ensemble.no])
    children = children[children != LEAF]
    if len(np.unique(children)) < len(children) or not len(ensemble.roots):
        raise UnreadableTreesError("its branches meet again, so they are no trees")
    return compacted(ensemble)


def _read_new(given: dict[str, Any]) -> TreeNode:
    weights, targets = as_array(given["leaf_weights"]), as_array(given["leaf_targetids"])
    modes = as_array(given["nodes_modes"]).astype(np.int64)
    inner = len(modes)
    # Leaves may have several ways to them: each gets a node of its own, behind the splits.
    children, leaves = [], np.zeros(0, np.int64)
    for side in _SIDES:
        ids = as_array(given[f"nodes_{side}nodeids"]).astype(np.int64)
        is_leaf = as_array(given[f"nodes_{side}leafs"]).astype(bool)
        places = inner + len(leaves) + np.cumsum(is_leaf) - 1
        children.append(np.where(is_leaf, places, ids))
        leaves = np.concatenate([leaves, ids[is_leaf]])
    values = _values(inner + len(leaves), int(given["n_targets"]))
    values[inner + np.arange(len(leaves)), targets[leaves]] = weights[leaves]
    missing = as_array(given.get("nodes_missing_value_tracks_true", [])) != 0
    ensemble = Ensemble(
        roots=as_array(given["tree_roots"]).astype(np.int64),
        yes=_padded(children[0], len(leaves), LEAF),
        no=_padded(children[1], len(leaves), LEAF),
        features=_padded(as_array(given["nodes_featureids"]), len(leaves)),
        thresholds=_padded(as_array(given["nodes_splits"]).astype(np.float64), len(leaves)),
        modes=_padded(modes, len(leaves)),
        missing_yes=_padded(missing if len(missing) else np.zeros(inner, bool), len(leaves)),
        members=_members(given, modes),
        values=values,
    )
    aggregate = _AGGREGATES[given.get("aggregate_function", 1)]
    return TreeNode(_sound(ensemble), aggregate, np.unique(targets), bool((weights < 0).any()))


def _padded(values: Array, count: int, value: int = 0) -> Array:
    return np.concatenate([values, np.full(count, value, values.dtype)])


def _members(given: dict[str, Any], modes: Array) -> dict[int, npt.NDArray[np.float64]]:
    nodes = np.flatnonzero(modes == MODES.index("MEMBER"))
    if not len(nodes):
        return {}
    members = as_array(given["membership_values"]).astype(np.float64)
    ends = np.flatnonzero(np.isnan(members))
    sets = [each[~np.isnan(each)] for each in np.split(members, ends)]
    return dict(zip(nodes.tolist(), sets, strict=False))


def _trees_of(ensemble: Ensemble) -> npt.NDArray[np.int64]:
    """Returns the number of each node's tree: their nodes follow each other."""
    starts = np.zeros(len(ensemble.yes), np.int64)
    starts[ensemble.roots] = 1
    return np.cumsum(starts) - 1


def _written_old(
    given: dict[str, Any], leaf: str, found: TreeNode, ensemble: Ensemble
) -> dict[str, Any]:
    trees, is_leaf = _trees_of(ensemble), ensemble.is_leaf
    ids = np.arange(len(trees)) - ensemble.roots[trees]
    own = {
        f"nodes_{side}nodeids": np.where(is_leaf, 0, ids[children]).tolist()
        for side, children in zip(_SIDES, (ensemble.yes, ensemble.no), strict=True)
    }
    rows, targets = np.nonzero(_added(ensemble, trees, found.targets))
    # Targets that no leaf adds to any more are named still.
    unnamed = np.setdiff1d(found.targets, targets)
    rows = np.concatenate([np.full(len(unnamed), np.flatnonzero(is_leaf)[0]), rows])
    targets = np.concatenate([unnamed, targets])
    order = np.argsort(rows, kind="stable")
    rows, targets = rows[order], targets[order]
    weights = ensemble.values[rows, targets]
    if bool((weights < 0).any()) != found.is_negative:
        raise UnreadableTreesError("the runtime would take its numbers for another kind of scores")
    names = [f"BRANCH_{mode}" for mode in MODES]
    pairs = zip(is_leaf.tolist(), ensemble.modes.tolist(), strict=True)
    return {
        **own,
        **_like(given, "nodes_values", ensemble.thresholds),
        **_like(given, f"{leaf}_weights", weights),
        "nodes_treeids": trees.tolist(),
        "nodes_nodeids": ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, ensemble.features).tolist(),
        "nodes_modes": ["LEAF" if at_leaf else names[mode] for at_leaf, mode in pairs],
        "nodes_missing_value_tracks_true": _flags(ensemble.missing_yes & ~is_leaf),
        f"{leaf}_treeids": trees[rows].tolist(),
        f"{leaf}_nodeids": ids[rows].tolist(),
        f"{leaf}_ids": targets.tolist(),
    }


def _added(
    ensemble: Ensemble, trees: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tells to which targets leaves add, at least to one, (nodes, targets)."""
    added = np.asarray(ensemble.values != 0)
    own = np.full(len(ensemble.roots), targets[0])
    rows, found = np.nonzero(added)
    own[trees[rows]] = found
    silent = np.flatnonzero(ensemble.is_leaf & ~added.any(axis=1))
    added[silent, own[trees[silent]]] = True
    return added


def _flags(values: Array) -> list[int]:
    """Returns nothing where all are false: that is what is taken where none are given."""
    return values.astype(int).tolist() if values.any() else []


def _like(given: dict[str, Any], name: str, values: Array) -> dict[str, Any]:
    """Returns numbers in the form that they were given in."""
    tensor = f"{name}_as_tensor"
    if tensor not in given:
        return {name: values.tolist()}
    return {tensor: numpy_helper.from_array(values.astype(as_array(given[tensor]).dtype))}


def _written_new(given: dict[str, Any], found: TreeNode, ensemble: Ensemble) -> dict[str, Any]:
    trees, is_leaf = _trees_of(ensemble), ensemble.is_leaf
    added = _added(ensemble, trees, found.targets)
    if (added.sum(axis=1) > 1).any():
        raise UnreadableTreesError("a leaf would add to two targets, which the node cannot say")
    target = added.argmax(axis=1)
    splits = _Splits.of(ensemble)
    leaves = np.flatnonzero(is_leaf)
    weights = ensemble.values[leaves, target[leaves]]
    values = {
        "tree_roots": splits.numbers[ensemble.roots].tolist(),
        "nodes_modes": _typed(given, "nodes_modes", ensemble.modes[splits.nodes]),
        "nodes_featureids": ensemble.features[splits.nodes].tolist(),
        "nodes_splits": _typed(given, "nodes_splits", ensemble.thresholds[splits.nodes]),
        "nodes_missing_value_tracks_true": _flags(ensemble.missing_yes[splits.nodes]),
        "leaf_targetids": target[leaves].tolist(),
        "leaf_weights": _typed(given, "leaf_weights", weights),
    }
    for side, children in zip(_SIDES, (splits.yes, splits.no), strict=True):
        values[f"nodes_{side}leafs"] = is_leaf[children].astype(int).tolist()
        values[f"nodes_{side}nodeids"] = splits.places[children].tolist()
    if "membership_values" in given:
        sets = [
            ensemble.members[node] for node in splits.nodes.tolist() if node in ensemble.members
        ]
        members = [number for each in sets for number in [*each.tolist(), np.nan]]
        values["membership_values"] = _typed(given, "membership_values", np.array(members))
    return values


@dataclass(frozen=True)
class _Splits:
    """Nodes that compare, as the new operator wants them: a tree of one leaf has one as well.

    Attributes:
        nodes: Nodes of the ensemble, (splits,).
        yes: Their next nodes.
        no: Their next nodes.
        numbers: Of each node its number among these, (nodes,).
        places: The same, but of a leaf its number among leaves, (nodes,).
    """

    nodes: npt.NDArray[np.int64]
    yes: npt.NDArray[np.int64]
    no: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ensemble: Ensemble) -> "_Splits":
        is_leaf = ensemble.is_leaf
        is_split = ~is_leaf
        is_split[ensemble.roots] = True
        nodes, own = np.flatnonzero(is_split), np.arange(len(is_leaf))
        numbers = np.cumsum(is_split) - 1
        places = np.where(is_leaf, np.cumsum(is_leaf) - 1, numbers)
        yes, no = (np.where(is_leaf, own, each)[nodes] for each in (ensemble.yes, ensemble.no))
        return cls(nodes, yes, no, numbers, places)


def _typed(given: dict[str, Any], name: str, values: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(values.astype(as_array(given[name]).dtype), name)

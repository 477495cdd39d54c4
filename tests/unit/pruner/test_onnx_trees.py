"""Trees of imported models: read as the runtime reads them, and smaller as far as asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestRegressor

from services.pruner.domain.foreign.ensemble_nodes import (
    UnreadableTreesError,
    read_trees,
    written_trees,
)
from services.pruner.domain.foreign.ensembles import merged, prefix_sums
from services.pruner.domain.foreign.graphs import distance, observed, outputs
from services.pruner.domain.foreign.tree_ensembles import merged_trees, smaller_trees
from tests.support.onnx_graphs import graph_model

COLUMNS = 5
OLD_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
MEMBER = 6


@dataclass
class Grown:
    """Trees as the rows of nodes that exporters write."""

    nodes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, tree: int, at: int, **more: Any) -> dict[str, Any]:
        """Adds a node, at first a leaf of 0."""
        leaf = {"yes": 0, "no": 0, "feature": 0, "split": 0.0, "mode": -1, "missing": 0}
        self.nodes.append(leaf | {"value": 0.0, "tree": tree, "id": at} | more)
        return self.nodes[-1]

    def column(self, name: str) -> list[Any]:
        """Returns a value of all nodes."""
        return [node[name] for node in self.nodes]

    @property
    def leaves(self) -> list[dict[str, Any]]:
        """Nodes without branches."""
        return [node for node in self.nodes if node["mode"] < 0]


def random_trees(seed: int, trees: int, depth: int, levels: int, has_splits: bool = False) -> Grown:
    """Returns trees whose leaves have one of few values, so that some splits say nothing.

    Some trees are a leaf, unless each is to have a split.
    """
    grown, random = Grown(), np.random.default_rng(seed)

    def grow(tree: int, start: int, left: int) -> int:
        node = grown.add(tree, len(grown.nodes) - start)
        is_split = has_splits and left == depth
        if left == 0 or (random.random() < 0.2 and not is_split):
            node["value"] = random.integers(1, levels + 1) / 4
            return int(node["id"])
        node |= {"feature": int(random.integers(COLUMNS)), "mode": 0}
        node |= {"split": random.integers(-2, 3) / 2, "missing": int(random.integers(2))}
        node["yes"], node["no"] = grow(tree, start, left - 1), grow(tree, start, left - 1)
        return int(node["id"])

    for tree in range(trees):
        grow(tree, len(grown.nodes), depth)
    return grown


def boosted_trees(seed: int, trees: int) -> Grown:
    """Returns trees whose leaves say less and less."""
    grown, random = random_trees(seed, trees, 3, 4), np.random.default_rng(seed)
    for node in grown.leaves:
        node["value"] = random.normal() / (1 + node["tree"])
    return grown


def fitted_forest(trees: int) -> Grown:
    """Returns a random forest, whose trees say much the same."""
    random, grown = np.random.default_rng(0), Grown()
    x = random.normal(size=(300, COLUMNS))
    y = 10 + x[:, 0] * (x[:, 1] > 0) + random.normal(size=300) / 4
    forest = RandomForestRegressor(trees, min_samples_leaf=5, random_state=0).fit(x, y)
    for tree, each in enumerate(forest.estimators_):
        found = each.tree_
        for at in range(found.node_count):
            node = grown.add(tree, at, value=float(found.value[at, 0, 0]))
            if found.children_left[at] >= 0:
                node |= {"yes": int(found.children_left[at]), "no": int(found.children_right[at])}
                node |= {"feature": int(found.feature[at]), "split": float(found.threshold[at])}
                node["mode"] = 0
    return grown


def old_model(
    grown: Grown, targets: int, modes: Sequence[str] = OLD_MODES[:1], **more: Any
) -> onnx.ModelProto:
    """Returns trees as a regressor of ai.onnx.ml 3; tree by tree another target."""
    names = [modes[at % len(modes)] for at in range(len(grown.nodes))]
    leaves = grown.leaves
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        name="trees",
        domain="ai.onnx.ml",
        n_targets=targets,
        nodes_treeids=grown.column("tree"),
        nodes_nodeids=grown.column("id"),
        nodes_featureids=grown.column("feature"),
        nodes_values=grown.column("split"),
        nodes_hitrates=[1.0] * len(grown.nodes),
        nodes_modes=[
            "LEAF" if mode < 0 else name
            for name, mode in zip(names, grown.column("mode"), strict=True)
        ],
        nodes_truenodeids=grown.column("yes"),
        nodes_falsenodeids=grown.column("no"),
        nodes_missing_value_tracks_true=grown.column("missing"),
        target_treeids=[each["tree"] for each in leaves],
        target_nodeids=[each["id"] for each in leaves],
        target_ids=[each["tree"] % targets for each in leaves],
        target_weights=[each["value"] for each in leaves],
        **more,
    )
    return graph_model([trees], {"x": ["rows", COLUMNS]}, {"y": ["rows", targets]})


def new_model(grown: Grown, targets: int, members: bool) -> onnx.ModelProto:
    """Returns the same as the operator of ai.onnx.ml 5; its last split may ask for members."""
    splits = [node for node in grown.nodes if node["mode"] >= 0]
    numbers = {(each["tree"], each["id"]): at for at, each in enumerate(splits)}
    leaves = {(each["tree"], each["id"]): at for at, each in enumerate(grown.leaves)}
    modes, sets = np.zeros(len(splits), np.uint8), []
    for at in range(0, len(splits), 3) if members else []:
        modes[at] = MEMBER
        sets += [0.5, float(at % 2), np.nan]
    own: dict[str, Any] = {}
    for side in ("yes", "no"):
        keys = [(each["tree"], each[side]) for each in splits]
        word = {"yes": "true", "no": "false"}[side]
        own[f"nodes_{word}leafs"] = [int(key in leaves) for key in keys]
        own[f"nodes_{word}nodeids"] = [leaves.get(key, numbers.get(key, 0)) for key in keys]
    thresholds = np.array([each["split"] for each in splits], np.float32)
    weights = np.array([each["value"] for each in grown.leaves], np.float32)
    more: dict[str, Any] = (
        {"membership_values": numpy_helper.from_array(np.array(sets, np.float32))} if sets else {}
    )
    trees = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=targets,
        tree_roots=[at for at, each in enumerate(splits) if each["id"] == 0],
        nodes_modes=numpy_helper.from_array(modes),
        nodes_featureids=[each["feature"] for each in splits],
        nodes_splits=numpy_helper.from_array(thresholds),
        nodes_missing_value_tracks_true=[each["missing"] for each in splits],
        leaf_targetids=[each["tree"] % targets for each in grown.leaves],
        leaf_weights=numpy_helper.from_array(weights),
        **own,
        **more,
    )
    return graph_model([trees], {"x": ["rows", COLUMNS]}, {"y": ["rows", targets]}, ml=5)


def rows_of(seed: int, count: int = 200) -> dict[str, np.ndarray]:
    """Rows on and off the thresholds, some with missing values."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, COLUMNS))
    found[::2] = np.round(found[::2] * 2) / 2
    found[random.random(found.shape) < 0.1] = np.nan
    return {"x": found.astype(np.float32)}


def check_same(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Merges trees; arrays say what the runtime says, before and after, to the last bit."""
    rows = rows_of(seed)
    (node,) = model.graph.node
    *_, said = prefix_sums(read_trees(node).ensemble, rows["x"].astype(np.float64))
    expected = outputs(model, rows)["y"]
    assert np.allclose(said, expected, rtol=1e-6, atol=1e-6)
    found = merged_trees(model).model
    onnx.checker.check_model(found, full_check=True)
    assert np.array_equal(outputs(found, rows)["y"], expected)
    return found


@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([*OLD_MODES, "MIXED"]))
@settings(max_examples=30)
def test_merged_regressors_say_the_same(seed: int, targets: int, mode: str) -> None:
    """Trees of one leaf, all comparisons, missing values, one and more targets."""
    grown = random_trees(seed, 6, 4, 2)
    modes = OLD_MODES if mode == "MIXED" else (mode,)
    check_same(old_model(grown, targets, modes), seed)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 2), st.booleans())
@settings(max_examples=30)
def test_merged_ensembles_of_version_5_say_the_same(
    seed: int, targets: int, levels: int, members: bool
) -> None:
    """With and without sets of members; trees that become one leaf."""
    check_same(new_model(random_trees(seed, 6, 4, levels, has_splits=True), targets, members), seed)


def test_splits_that_say_nothing_go() -> None:
    """Where all leaves of a tree are equal one is left."""
    model = old_model(random_trees(0, 4, 4, 1), 1)
    found = read_trees(merged_trees(model).model.graph.node[0]).ensemble
    assert len(found.yes) == len(found.roots) == 4


def classifier(weights: Sequence[float], kind: str) -> onnx.ModelProto:
    """Returns one split between two classes, of which exporters only name the positive one."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1],
        post_transform=kind,
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_featureids=[0, 1, 0, 0, 0],
        nodes_values=[0.0] * 5,
        nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 2, 0, 0, 0],
        nodes_falsenodeids=[4, 3, 0, 0, 0],
        class_treeids=[0, 0, 0],
        class_nodeids=[2, 3, 4],
        class_ids=[0, 0, 0],
        class_weights=weights,
    )
    return graph_model(
        [node],
        {"x": ["rows", COLUMNS]},
        {"label": ["rows"], "scores": ["rows", 2]},
        kinds={"label": TensorProto.INT64},
    )


@pytest.mark.parametrize(
    ("weights", "kind"),
    [([0.0, 0.0, 0.9], "NONE"), ([-1.5, -1.5, 2.0], "LOGISTIC"), ([0.3, 0.3, 0.3], "NONE")],
)
def test_two_classes_stay_two_classes(weights: list[float], kind: str) -> None:
    """Leaves of 0 and classes that only one leaf names still count as they did."""
    model, rows = classifier(weights, kind), rows_of(1)
    found = merged_trees(model).model
    assert len(read_trees(found.graph.node[0]).ensemble.yes) < 5
    expected = outputs(model, rows)
    assert all(np.array_equal(outputs(found, rows)[name], each) for name, each in expected.items())


def test_scores_that_would_be_read_as_another_kind_are_not_written() -> None:
    """The runtime takes scores for probabilities where none is negative."""
    (node,) = classifier([-1.5, 0.5, 2.0], "NONE").graph.node
    found = read_trees(node)
    positive = merged(found.ensemble)
    positive.values[:] = np.abs(positive.values)
    with pytest.raises(UnreadableTreesError, match="another kind"):
        written_trees(node, found, positive)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_forests_are_cut_and_scaled(aggregate: str) -> None:
    """Of trees that say much the same the first are enough; outputs stay within what is asked."""
    grown = fitted_forest(60)
    model = old_model(grown, 1, aggregate_function=aggregate)
    found = smaller_trees(model, rows_of(0, 400), 0.01)
    ensemble = read_trees(found.model.graph.node[0]).ensemble
    assert len(ensemble.yes) < len(grown.nodes) / 2
    new = rows_of(1, 400)
    expected, said = outputs(model, new), outputs(found.model, new)
    assert said["y"].mean() == pytest.approx(expected["y"].mean(), rel=0.02)
    assert distance(expected, said) < 0.03


def test_late_rounds_of_boosting_go() -> None:
    """What later trees add less and less of is left out, without scaling the others."""
    grown = boosted_trees(5, 60)
    model = old_model(grown, 1, base_values=[3.0])
    sizes = []
    for tolerance in (1e-4, 1e-2, 1e-1):
        found = smaller_trees(model, rows_of(0, 400), tolerance).model
        sizes.append(found.ByteSize())
        new = rows_of(1, 400)
        assert distance(outputs(model, new), outputs(found, new)) < 4 * tolerance
    assert model.ByteSize() > sizes[0] > sizes[1] > sizes[2]


def test_each_target_keeps_as_many_trees() -> None:
    """Rounds of several classes go whole."""
    grown = boosted_trees(6, 60)
    found = smaller_trees(old_model(grown, 3), rows_of(0, 400), 0.1).model
    assert len(read_trees(found.graph.node[0]).ensemble.roots) % 3 == 0


def test_trees_that_look_up_are_left() -> None:
    """Where leaves are places in a table their mean would be another place."""
    grown = random_trees(1, 1, 5, 4)
    for at, node in enumerate(grown.leaves):
        node["value"] = float(at)
    table = np.random.default_rng(0).permutation(len(grown.leaves)).astype(np.float32)
    trees = old_model(grown, 1).graph.node[0]
    trees.output[0] = "place"
    nodes = [
        trees,
        helper.make_node("Cast", ["place"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["y"]),
    ]
    model = graph_model(nodes, {"x": ["rows", COLUMNS]}, {"y": ["rows", 1]}, {"table": table})
    found = smaller_trees(model, rows_of(0), 0.01)
    assert found.model == model
    assert "they are left" in found.notes[0]


def test_extremes_of_trees_and_branches_that_meet_are_left() -> None:
    """Neither is a sum of trees; both say so, and nothing is changed."""
    least = old_model(random_trees(2, 5, 3, 4), 1, aggregate_function="MIN")
    found = smaller_trees(least, rows_of(0), 0.1)
    assert found.model == least
    assert "`trees` is left alone" in found.notes[0]
    (node,) = classifier([0.1, 0.2, 0.3], "NONE").graph.node
    for attribute in node.attribute:
        if attribute.name == "nodes_falsenodeids":
            attribute.ints[0] = attribute.ints[1]
    with pytest.raises(UnreadableTreesError, match="meet"):
        read_trees(node)


def test_values_in_between_are_observed() -> None:
    """What a model computes on the way, with fixed numbers of rows too."""
    model = graph_model(
        [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Relu", ["n"], ["y"])],
        {"x": [2, COLUMNS]},
        {"y": [2, COLUMNS]},
    )
    x = np.arange(7.0 * COLUMNS, dtype=np.float32).reshape(7, COLUMNS)
    found = observed(model, {"x": x, "other": x}, ["n", "x"])
    assert np.array_equal(found["n"], -x[:6])

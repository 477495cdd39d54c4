"""Columns and inputs that no output depends on are found, and only those."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from services.pruner.domain.foreign.columns import needed_columns
from services.pruner.domain.foreign.graphs import outputs
from services.pruner.domain.foreign.inputs import without_inputs
from tests.support.onnx_graphs import Array, floats, graph_model

node = helper.make_node
ML = "ai.onnx.ml"


def unneeded_columns(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Returns the columns that no output depends on, by input; of a needless input all of them."""
    needed = needed_columns(model)
    found = {each.name: np.flatnonzero(~needed[each.name]) for each in model.graph.input}
    return {name: tuple(places.tolist()) for name, places in found.items() if len(places)}


def trees(source: str) -> onnx.NodeProto:
    """Returns trees that compare the columns 1 and 3."""
    return node(
        "TreeEnsembleRegressor",
        [source],
        ["y"],
        domain=ML,
        n_targets=1,
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_featureids=[1, 3, 0, 0, 0],
        nodes_values=[0.0] * 5,
        nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 2, 0, 0, 0],
        nodes_falsenodeids=[4, 3, 0, 0, 0],
        target_treeids=[0, 0, 0],
        target_nodeids=[2, 3, 4],
        target_ids=[0, 0, 0],
        target_weights=[1.0, 2.0, 3.0],
    )


def scaled(source: str, result: str) -> onnx.NodeProto:
    """Returns a scaler of five columns."""
    scale, offset = [2.0] * 5, [0.5] * 5
    return node("Scaler", [source], [result], domain=ML, scale=scale, offset=offset)


def sparse() -> Array:
    """Weights of five columns, of which 0 and 2 count for nothing."""
    weight = floats(3, 5, 2)
    weight[[0, 2]] = 0.0
    return weight


LINEAR = node(
    "LinearRegressor", ["s"], ["y"], domain=ML, coefficients=[0.0, 1.0, 0.0, 2.0, 3.0], targets=1
)


@pytest.mark.parametrize(
    ("nodes", "width", "weights", "unneeded"),
    [
        ([trees("x")], 1, {}, (0, 2, 4)),
        ([scaled("x", "s"), trees("s")], 1, {}, (0, 2, 4)),
        ([scaled("x", "s"), LINEAR], 1, {}, (0, 2)),
        ([node("MatMul", ["x", "w"], ["y"])], 2, {"w": sparse()}, (0, 2)),
        ([node("Gemm", ["x", "w"], ["y"], transB=1)], 2, {"w": sparse().T.copy()}, (0, 2)),
        (
            [node("Sub", ["x", "m"], ["c"]), node("MatMul", ["c", "w"], ["y"])],
            2,
            {"w": sparse(), "m": floats(1, 5)},
            (0, 2),
        ),
        ([node("Gather", ["x", "at"], ["y"], axis=1)], 2, {"at": np.array([4, 1])}, (0, 2, 3)),
        (
            [
                node("ArrayFeatureExtractor", ["x", "at"], ["s"], domain=ML),
                node("MatMul", ["s", "w"], ["y"]),
            ],
            2,
            {"at": np.array([4, 3, 2, 1, 0]), "w": sparse()},
            (2, 4),
        ),
        (
            [node("Softmax", ["x"], ["s"]), node("MatMul", ["s", "w"], ["y"])],
            2,
            {"w": sparse()},
            (),
        ),
        (
            [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
            2,
            {"w": sparse()},
            (0, 2),
        ),
    ],
)
def test_columns_that_do_not_count_are_found(
    nodes: list[onnx.NodeProto], width: int, weights: dict[str, Array], unneeded: tuple[int, ...]
) -> None:
    """Outputs stay equal when these columns change, and change when any other does."""
    model = graph_model(nodes, {"x": ["rows", 5]}, {"y": ["rows", width]}, weights)
    assert unneeded_columns(model).get("x", ()) == unneeded
    x = floats(0, 50, 5)
    expected = outputs(model, {"x": x})["y"]
    for column in range(5):
        changed = x.copy()
        changed[:, column] = floats(1, 50)
        is_same = np.array_equal(outputs(model, {"x": changed})["y"], expected)
        assert is_same == (column in unneeded)
    found = without_inputs(model)
    assert found.model == model
    assert bool(found.notes) == bool(unneeded)


def columns_model() -> onnx.ModelProto:
    """Returns a model as scikit-learn's exporter writes it: an input for each column."""
    weight = floats(3, 6, 2)
    weight[[1, 3, 4, 5]] = 0.0
    return graph_model(
        [
            node("Concat", ["a", "b", "c"], ["numbers"], axis=1),
            node("OneHotEncoder", ["s"], ["hot"], domain=ML, cats_strings=["u", "v", "w"]),
            node("Reshape", ["hot", "sides"], ["flat"]),
            node("Concat", ["numbers", "flat"], ["all"], axis=1),
            node("MatMul", ["all", "weight"], ["y"]),
        ],
        {name: ["rows", 1] for name in "abcs"},
        {"y": ["rows", 2]},
        {"weight": weight, "sides": np.array([-1, 3])},
        kinds={"s": TensorProto.STRING},
    )


def test_inputs_of_their_own_go() -> None:
    """Numbers and texts that nothing depends on are not asked for; the order of others stays."""
    model = columns_model()
    assert unneeded_columns(model) == {"b": (0,), "s": (0,)}
    found = without_inputs(model)
    onnx.checker.check_model(found.model, full_check=True)
    assert [each.name for each in found.model.graph.input] == ["a", "c"]
    texts = np.array([["u"], ["v"], ["other"], ["w"]], object)
    rows = {name: floats(at, 4, 1) for at, name in enumerate("abc")} | {"s": texts}
    assert np.array_equal(outputs(found.model, rows)["y"], outputs(model, rows)["y"])
    assert found.notes == (
        "It no longer asks for `b`: no output depends on it.",
        "It no longer asks for `s`: no output depends on it.",
    )


def test_the_last_input_stays() -> None:
    """Something has to say how many rows there are."""
    model = graph_model(
        [node("MatMul", ["x", "w"], ["y"])],
        {"x": ["rows", 3]},
        {"y": ["rows", 2]},
        {"w": np.zeros((3, 2), np.float32)},
    )
    assert unneeded_columns(model) == {"x": (0, 1, 2)}
    assert without_inputs(model).model == model


def test_inputs_without_known_shapes_count_as_a_whole() -> None:
    """What is no matrix, and what has no width that is known, is needed if anything of it is."""
    model = graph_model(
        [
            node("ReduceSum", ["image", "axes"], ["sum"], keepdims=0),
            node("Mul", ["sum", "x"], ["y"]),
        ],
        {"image": ["rows", 3, "height"], "x": ["rows", "columns"], "spare": ["rows", 2]},
        {"y": ["rows", "columns"]},
        {"axes": np.array([1, 2])},
    )
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    assert unneeded_columns(model) == {"spare": (0, 1)}
    assert [each.name for each in without_inputs(model).model.graph.input] == ["image", "x"]


def test_what_a_branch_uses_is_needed() -> None:
    """Graphs within nodes see the inputs around them."""
    shape: Sequence[int | str] = ["rows", 2]
    branches: dict[str, Any] = {
        f"{name}_branch": helper.make_graph(
            [node("Identity", [source], [f"{name}_y"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, shape)],
        )
        for name, source in (("then", "a"), ("else", "b"))
    }
    model = graph_model(
        [node("If", ["condition"], ["y"], **branches)],
        {"a": shape, "b": shape, "c": shape, "condition": []},
        {"y": shape},
        kinds={"condition": TensorProto.BOOL},
    )
    assert unneeded_columns(model) == {"c": (0, 1)}

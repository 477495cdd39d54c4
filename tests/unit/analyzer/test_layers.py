"""Names of layers, by which activations, weights and structure are joined."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.data.schema import Task
from common.models.onnx_model import open_onnx
from common.networks.modules import build_network
from common.networks.specification import NetworkInput, NetworkSpecification, complete
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.layers import (
    NETWORK,
    chosen_layers,
    named_layers,
    network_layers,
    onnx_file,
)
from services.analyzer.domain.models.foreign import OnnxAnalysed
from tests.support.analysis import iris, trained_cnn, trained_mlp
from tests.support.foreign_models import linear_onnx


def analysed(file: onnx.ModelProto) -> OnnxAnalysed:
    model = open_onnx(file.SerializeToString(), "model")
    return OnnxAnalysed(model, Task.REGRESSION, ("target",), [])


def test_modules_with_weights_or_without_others_inside_are_layers(tmp_path: Path) -> None:
    layers = named_layers(trained_mlp(tmp_path, epochs=1, batch_norm=True).model)
    assert [layer.name for layer in layers] == [f"layers.{place}" for place in range(7)]
    kinds = ["Linear", "BatchNorm1d", "ReLU"]
    assert [layer.kind for layer in layers] == [*kinds, *kinds, "Linear"]
    assert all(layer.module is not None and layer.output == "" for layer in layers)


def test_a_convolutional_network_names_its_pool_and_head(tmp_path: Path) -> None:
    names = [layer.name for layer in named_layers(trained_cnn(tmp_path, epochs=1).model)]
    assert "blocks.0.0" in names
    assert {"pool", "head.0", "head.2"} <= set(names)


def test_weights_of_the_network_itself_are_a_layer() -> None:
    specification = NetworkSpecification.model_validate({"linear": {}})
    given = NetworkInput(numeric_columns=3, category_sizes=(4,))
    layers = network_layers(build_network(complete(specification, given, 2, "network")))
    assert [layer.name for layer in layers] == [NETWORK, "categories.0"]


def test_nodes_without_names_get_names_of_their_own() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.ones(1, "f4"))),
        helper.make_node("Add", ["a", "one"], ["b"], name="MatMul_0"),
        helper.make_node("Relu", ["b"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    layers = named_layers(analysed(file))
    assert [layer.name for layer in layers] == ["MatMul_0", "MatMul_0_2", "last"]
    assert [layer.output for layer in layers] == ["a", "b", "y"]


def test_what_is_done_to_the_file_does_not_reach_the_model() -> None:
    model = analysed(linear_onnx())
    del onnx_file(model).graph.node[:]
    assert len(onnx_file(model).graph.node) == 1


def test_functions_are_written_out() -> None:
    body = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    function = helper.make_function(
        "own", "Twice", ["x", "w"], ["y"], body, [helper.make_opsetid("", 20)]
    )
    file = linear_onnx()
    file.functions.append(function)
    file.opset_import.append(helper.make_opsetid("own", 1))
    file.graph.node[0].op_type, file.graph.node[0].domain = "Twice", "own"
    assert [layer.kind for layer in named_layers(analysed(file))] == ["MatMul"]


def test_estimators_have_no_layers() -> None:
    assert named_layers(iris().model) == []


def test_an_unknown_layer_is_told_with_those_that_there_are() -> None:
    layers = named_layers(analysed(linear_onnx()))
    assert chosen_layers(layers, ["MatMul_0"]) == layers
    with pytest.raises(UnusableModelError, match="no layer `conv9`; it has MatMul_0"):
        chosen_layers(layers, ["conv9"])

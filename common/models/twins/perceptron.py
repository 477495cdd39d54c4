"""Perceptrons for tables as ONNX operators, in float32 as they are."""

from typing import Any

import numpy as np
from onnx import TensorProto

from common.models.estimators.perceptron import Network
from common.models.twins.graph import Graph

_REACH = 4.0


def perceptron_outputs(graph: Graph, network: Network, matrix: str) -> str:
    """Returns what each member says, float32 (members, rows, outputs)."""

    def constant(values: Any) -> str:
        return graph.constant(values, np.float32)

    weights = network.weights
    features = graph.cast(matrix, TensorProto.FLOAT)
    values = graph.add("Mul", _encoded(graph, network, features), constant(weights["mix"][:, None]))
    for layer in range(network.depth):
        values = graph.add("MatMul", values, constant(weights[f"weight_{layer}"]))
        values = graph.add("Add", values, constant(weights[f"bias_{layer}"][:, None]))
        if network.activation == "relu":
            values = graph.add("Relu", values)
        else:
            values = graph.add("Mul", values, graph.add("Sigmoid", values))
    found = graph.add("MatMul", values, constant(weights["head"]))
    return graph.add("Add", found, constant(weights["head_bias"][:, None]))


def _encoded(graph: Graph, network: Network, features: str) -> str:
    encoding = network.encoding
    part = graph.add("Mul", features, graph.constant(np.float32(1 / _REACH), np.float32))
    size = graph.add("Sqrt", graph.add("Add", graph.add("Mul", part, part), _one(graph)))
    clipped = graph.add("Div", features, size)
    if not len(encoding.sources):
        return clipped
    pieces = graph.columns(features, encoding.sources.tolist())
    pieces = graph.add("Sub", pieces, graph.constant(encoding.lows[None], np.float32))
    pieces = graph.add("Mul", pieces, graph.constant(encoding.slopes[None], np.float32))
    pieces = graph.add("Max", pieces, graph.constant(np.float32(0), np.float32))
    pieces = graph.add("Min", pieces, _one(graph))
    half = graph.constant(np.float32(0.5), np.float32)
    return graph.beside([clipped, graph.add("Sub", pieces, half)])


def _one(graph: Graph) -> str:
    return graph.constant(np.float32(1), np.float32)

"""Multiply-accumulates of ONNX nodes."""

import math
from collections.abc import Callable, Mapping

import onnx

from services.analyzer.domain.structure.findings import Shape

Shapes = Mapping[str, Shape]

_UNCOUNTED = frozenset({"Einsum", "LSTM", "GRU", "RNN", "If", "Loop", "Scan"})


def products_of(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Returns the multiply-accumulates of a node.

    Args:
        node: The node.
        shapes: Shapes of tensors by name, as far as they are known.

    Returns:
        0 for nodes that multiply nothing with weights or each other; None where it cannot be told.
    """
    if node.op_type in _UNCOUNTED:
        return None
    count = _COUNTS.get(node.op_type)
    if count is None:
        return 0
    try:
        return count(node, shapes)
    except (KeyError, IndexError):
        return None


def _convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each output is a sum over the kernel and its group's input channels."""
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _transposed_convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _general_product(node: onnx.NodeProto, shapes: Shapes) -> int:
    is_transposed = any(each.name == "transA" and each.i for each in node.attribute)
    inner = shapes[node.input[0]][0 if is_transposed else -1]
    return math.prod(shapes[node.output[0]]) * inner


def _linear_model(node: onnx.NodeProto, shapes: Shapes) -> int:
    return sum(len(each.floats) for each in node.attribute if each.name == "coefficients")


_COUNTS: Mapping[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product,
    "Gemm": _general_product,
    "LinearClassifier": _linear_model,
    "LinearRegressor": _linear_model,
}

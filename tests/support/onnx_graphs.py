"""Small ONNX models to be changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

OPSET = 17


def graph_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    weights: Mapping[str, Array] | None = None,
    opset: int = OPSET,
    ml: int = 3,
    kinds: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Returns a checked model of float inputs and outputs, or of the kinds that are named."""
    kinds = kinds or {}

    def infos(shapes: Mapping[str, Sequence[int | str]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in shapes.items()
        ]

    tensors = [numpy_helper.from_array(each, name) for name, each in (weights or {}).items()]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", infos(inputs), infos(outputs), tensors),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def floats(seed: int, *shape: int) -> Array:
    """Returns normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def kinds_of(model: onnx.ModelProto) -> list[str]:
    """Returns what nodes do, in order."""
    return [node.op_type for node in model.graph.node]

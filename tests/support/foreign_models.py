"""Small models as other tools make them."""

import numpy as np
import onnx
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import BaseEstimator


def skops_file(estimator: BaseEstimator) -> bytes:
    """Returns an estimator as skops saves it."""
    content: bytes = skops.io.dumps(estimator)
    return content


def linear_onnx(features: int = 4, outputs: int = 3) -> onnx.ModelProto:
    """Returns `scores = x @ w`, float32 [rows, features] to [rows, outputs]."""
    weights = np.arange(features * outputs, dtype=np.float32).reshape(features, outputs)
    return onnx_model([helper.make_node("MatMul", ["x", "w"], ["scores"])], weights, outputs)


def onnx_model(
    nodes: list[onnx.NodeProto], weights: np.ndarray, outputs: int, domain: str = ""
) -> onnx.ModelProto:
    """Returns a model of these nodes between the input `x` and the output `scores`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", len(weights)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", outputs])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 20)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)

"""Models of formats that the trainer does not make, for what looks inside of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from sklearn.datasets import load_digits

from common.data.rows import Values
from common.data.schema import Column, ColumnType, Task
from common.models.onnx_model import open_onnx
from common.models.twin import Twin, export_twin, output_name
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.sample import Sample
from tests.support.analysis import sample_of


def onnx_twin(package: TorchPackage, sample: Sample) -> OnnxAnalysed:
    """Returns a package of the trainer as ONNX model of one matrix, or of images; takes seconds."""
    columns = sample.raw.take(slice(0, 4)).columns
    samples = {name: torch.from_numpy(each) for name, each in _inputs(columns).items()}
    twin = Twin(package.network, package.preprocessing)
    exported = export_twin(twin, samples, output_name(package.preprocessing))
    model = open_onnx(exported.content, "onnx")
    return OnnxAnalysed(model, package.task, package.outputs, [*sample.columns.values()])


def onnx_analysed(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Values],
    x: ValueInfoProto,
    outputs: int,
    columns: Mapping[str, Column],
) -> OnnxAnalysed:
    """Returns a model of operators from `x` to `y`: a regression of one output, or classes."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])
    tensors = [numpy_helper.from_array(each, name) for name, each in constants.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], tensors)
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    task = Task.REGRESSION if outputs == 1 else Task.CLASSIFICATION
    names = ("y",) if outputs == 1 else tuple(str(each) for each in range(outputs))
    model = open_onnx(file.SerializeToString(), "onnx")
    return OnnxAnalysed(model, task, names, [*columns.values()])


def onnx_convolution(sample: Sample, channels: int, outputs: int) -> OnnxAnalysed:
    """Returns an ONNX model of one convolution, with fixed weights, over images of one channel."""
    generator = np.random.default_rng(0)
    (column,) = sample.columns.values()
    constants: dict[str, Values] = {
        "kernels": generator.normal(size=(channels, 1, 3, 3)).astype(np.float32) / 255,
        "weights": generator.normal(size=(channels, outputs)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["image"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["image", "kernels"], ["sums"], name="conv"),
        helper.make_node("Relu", ["sums"], ["maps"], name="relu"),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", *column.shape])
    return onnx_analysed(nodes, constants, x, outputs, sample.columns)


def _inputs(columns: Mapping[str, Values]) -> dict[str, Values]:
    if "image" in columns:
        return {"image": columns["image"]}
    return {"numeric": np.column_stack([*columns.values()]).astype(np.float64)}


def images(count: int) -> Sample:
    """Returns so many digits of 8 x 8 pixels in the column `image`, with their classes."""
    bunch = load_digits()
    pixels = (bunch.images[:count] * 255 / 16).astype(np.uint8)[:, None]
    columns = {"image": Column("image", ColumnType.IMAGE, shape=pixels.shape[1:])}
    return sample_of(columns, {"image": pixels}, bunch.target[:count].astype(np.int64))

"""Values between the operators of an ONNX graph. Imports ONNX Runtime."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import onnx
import onnxruntime

from common.data.rows import RawRows, Values
from services.analyzer.domain.hidden.source import HiddenLayer, HiddenValues, Visit
from services.analyzer.domain.layers import onnx_file
from services.analyzer.domain.models.foreign import OnnxAnalysed

_TABLE_BATCH = 8192
_IMAGE_BATCH = 125
_FUNCTIONS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "PRelu": "leaky_relu",
    "Elu": "elu",
    "Selu": "elu",
    "Celu": "elu",
    "Gelu": "gelu",
    "Swish": "silu",
    "HardSwish": "silu",
    "Mish": "mish",
    "Tanh": "tanh",
    "Softsign": "softsign",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hardsigmoid",
    "Softplus": "softplus",
}
# What a network computes with its weights; stands for layers where no function is known.
_WEIGHED = frozenset({"Conv", "Gemm", "MatMul", "ConvTranspose", "LayerNormalization"})
_MAPS = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization"})


class OnnxLayers:
    """The operators of a graph that depend on rows and give numbers, by their names."""

    note = ""

    def __init__(self, model: OnnxAnalysed) -> None:
        """Opens nothing yet."""
        self._model = model

    @cached_property
    def layers(self) -> tuple[HiddenLayer, ...]:
        """See `HiddenSource`."""
        return tuple(HiddenLayer(name, self._function(node)) for name, node in self._nodes.items())

    @cached_property
    def usual(self) -> tuple[str, ...]:
        """See `HiddenSource`: functions, or where there are none, sums with weights."""
        inner = {name: n for name, n in self._nodes.items() if n.output[0] not in self._last}
        names = [name for name, node in inner.items() if self._function(node)]
        return tuple(names or (name for name, node in inner.items() if node.op_type in _WEIGHED))

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """See `HiddenSource`. Layers without a row for each row are left out."""
        tensors = {name: self._nodes[name].output[0] for name in names}
        session = self._session(tuple(dict.fromkeys(tensors.values())))
        is_image = any(each.ndim == 4 for each in raw.columns.values())
        first = 0
        for part in raw.parts(_IMAGE_BATCH if is_image else _TABLE_BATCH):
            fed = self._model.inputs(part)
            found = dict(zip(tensors.values(), session.run([*tensors.values()], fed), strict=True))
            for name, tensor in tensors.items():
                values = self._shaped(found[tensor], part.count)
                if values is not None:
                    visit(name, first, values)
            first += part.count

    @cached_property
    def _graph(self) -> onnx.ModelProto:
        return onnx_file(self._model)

    @cached_property
    def _nodes(self) -> Mapping[str, onnx.NodeProto]:
        """By name, in the order of computation."""
        graph = self._graph.graph
        fixed = {each.name for each in graph.initializer}
        moving = {each.name for each in graph.input} - fixed
        nodes = dict[str, onnx.NodeProto]()
        for node in graph.node:
            if moving.isdisjoint(node.input) or node.op_type in ("Shape", "Size"):
                continue
            moving.update(node.output)
            if node.output[0] in self._numbers:
                nodes[node.name] = node
        return nodes

    @cached_property
    def _numbers(self) -> frozenset[str]:
        """Names of the tensors of floating point numbers with at least two axes."""
        graph = onnx.shape_inference.infer_shapes(self._graph).graph
        floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
        return frozenset(
            each.name
            for each in (*graph.value_info, *graph.output)
            if each.type.tensor_type.elem_type in floats
            and (
                not each.type.tensor_type.HasField("shape")
                or len(each.type.tensor_type.shape.dim) >= 2
            )
        )

    def _function(self, node: onnx.NodeProto) -> str:
        """Returns the function that a node is; x times sigmoid(x) is SiLU, and no sigmoid."""
        if node.op_type == "Mul" and any(each in self._gates for each in node.input):
            return "silu"
        return "" if node.output[0] in self._gates else _FUNCTIONS.get(node.op_type, "")

    @cached_property
    def _gates(self) -> frozenset[str]:
        """Sigmoids that their own input is multiplied by, as exporters write SiLU."""
        nodes = self._graph.graph.node
        sigmoids = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Sigmoid"}
        return frozenset(
            each
            for node in nodes
            if node.op_type == "Mul"
            for each in node.input
            if sigmoids.get(each) in node.input
        )

    @cached_property
    def _last(self) -> frozenset[str]:
        """Tensors from which the model's outputs come without further weights."""
        graph = self._graph.graph
        makers = {tensor: node for node in graph.node for tensor in node.output}
        left, found = [each.name for each in graph.output], set[str]()
        while left:
            tensor = left.pop()
            maker = makers.get(tensor)
            if tensor in found or maker is None:
                continue
            found.add(tensor)
            if maker.op_type not in _WEIGHED:
                left += maker.input
        return frozenset(found)

    @cached_property
    def _has_maps(self) -> bool:
        """Whether channels come before positions, as in networks that convolve."""
        return any(node.op_type in _MAPS for node in self._graph.graph.node)

    def _session(self, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
        """Returns a session whose outputs are these tensors."""
        model = onnx.ModelProto()
        model.CopyFrom(self._graph)
        known = {each.name for each in model.graph.output}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in tensors if name not in known
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"]
        )

    def _shaped(self, values: Values, rows: int) -> HiddenValues | None:
        """Returns values with units on the second axis; None where there is not one a row."""
        if values.ndim < 2 or len(values) != rows or not values.size:
            return None
        numbers = np.asarray(values, np.float32)
        if numbers.ndim == 3 and not self._has_maps:
            return np.moveaxis(numbers, 2, 1)  # positions, then units: as transformers have it
        return numbers

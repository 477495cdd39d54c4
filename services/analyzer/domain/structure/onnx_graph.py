"""ONNX models taken apart. Imports onnx, ONNX Runtime."""

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import onnx
import onnxruntime
from onnx import helper, shape_inference

from common.data.rows import RawRows, Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.layers import Layer, onnx_file, onnx_layers
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.structure.findings import Anatomy, Shape, StructureLayer
from services.analyzer.domain.structure.products import products_of
from services.analyzer.domain.structure.timing import median_seconds

_FLOAT_BYTES = 4
_LARGEST = 2**31 - 1  # bytes of a message of protobuf
_UNFUSED = (
    "How long nodes take is measured without joining them, as ONNX Runtime usually does: together "
    "they take longer than the model."
)


def graph_anatomy(model: OnnxAnalysed, batch: RawRows, budget: Budget) -> Anatomy:
    """Infers shapes for one row, and times the nodes on a batch.

    Args:
        model: The model.
        batch: Some rows.
        budget: To spend.
    """
    file = onnx_file(model)
    layers = onnx_layers(file)
    seconds = _latencies(file, model.inputs(batch), budget)
    row = model.inputs(batch.take(slice(0, 1)))
    tensors = _Tensors(file, row)  # changes the file
    found = tuple(_layer(layer, tensors, seconds.get(layer.name)) for layer in layers)
    edges = tuple(_edges(layers, row))
    notes = (_UNFUSED,) if seconds else ()
    return Anatomy(found, edges, tuple(row), "node", batch.count, notes)


class _Tensors:
    """Shapes and sizes of a graph's tensors.

    Attributes:
        shapes: By name, for one row; those that are not known are absent.
        sizes: Bytes of a number, by name.
        constants: Numbers and bytes of the initialisers, by name.
    """

    def __init__(self, file: onnx.ModelProto, row: Mapping[str, Values]) -> None:
        self.shapes: dict[str, Shape] = {}
        self.sizes: dict[str, int] = {}
        self.constants: dict[str, tuple[int, int]] = {}
        self._owners: dict[str, str] = {}
        graph = _inferred(file, row)
        for value in (*graph.input, *graph.value_info, *graph.output):
            self._take(value)
        for tensor in graph.initializer:
            count, size = math.prod(tensor.dims), _bytes_each(tensor.data_type)
            self.shapes[tensor.name] = tuple(tensor.dims)
            self.constants[tensor.name] = (count, count * size)
        for node in graph.node:
            for name in node.input:
                self._owners.setdefault(name, node.name)

    def _take(self, value: onnx.ValueInfoProto) -> None:
        kind = value.type.tensor_type
        if not kind.HasField("shape"):
            return
        sides = [side.dim_value if side.HasField("dim_value") else -1 for side in kind.shape.dim]
        if min(sides, default=0) >= 0:
            self.shapes[value.name] = tuple(sides)
            self.sizes[value.name] = _bytes_each(kind.elem_type)

    def parameters(self, node: onnx.NodeProto) -> tuple[int, int]:
        """Returns numbers and bytes that a node has of its own, those in attributes included."""
        own = [
            self.constants[name]
            for name in dict.fromkeys(node.input)
            if name in self.constants and self._owners[name] == node.name
        ]
        kept = sum(len(each.floats) for each in node.attribute)
        numbers = sum(count for count, _ in own) + kept
        return numbers, sum(size for _, size in own) + _FLOAT_BYTES * kept


def _layer(layer: Layer, tensors: _Tensors, seconds: float | None) -> StructureLayer:
    assert layer.node is not None
    count, size = tensors.parameters(layer.node)
    takes = next((name for name in layer.node.input if name not in tensors.constants), "")
    gives = [name for name in layer.node.output if name]
    is_known = all(name in tensors.shapes for name in gives)
    return StructureLayer(
        name=layer.name,
        kind=layer.kind,
        input_shape=tensors.shapes.get(takes, ())[1:],
        output_shape=tensors.shapes.get(layer.output, ())[1:],
        parameter_count=count,
        parameter_bytes=size,
        multiply_accumulates=products_of(layer.node, tensors.shapes),
        activation_bytes=_given_bytes(gives, tensors) if is_known else None,
        latency=seconds,
    )


def _given_bytes(names: Sequence[str], tensors: _Tensors) -> int:
    return sum(math.prod(tensors.shapes[name]) * tensors.sizes.get(name, 0) for name in names)


def _inferred(file: onnx.ModelProto, row: Mapping[str, Values]) -> onnx.GraphProto:
    """Returns the graph with the shapes that follow from those of a row."""
    for value in file.graph.input:
        if value.name in row:
            for side, length in zip(
                value.type.tensor_type.shape.dim, row[value.name].shape, strict=False
            ):
                side.dim_value = length
    for value in file.graph.output:
        value.type.tensor_type.ClearField("shape")
    if file.ByteSize() > _LARGEST:
        return file.graph
    try:
        return shape_inference.infer_shapes(file, data_prop=True).graph
    except shape_inference.InferenceError:
        return file.graph


def _bytes_each(kind: int) -> int:
    try:
        return int(helper.tensor_dtype_to_np_dtype(kind).itemsize)
    except KeyError:
        return 0


def _edges(layers: Sequence[Layer], inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    makers = {name: name for name in inputs}
    for layer in layers:
        assert layer.node is not None
        sources = (makers[name] for name in layer.node.input if name in makers)
        yield from ((source, layer.name) for source in dict.fromkeys(sources))
        makers |= {name: layer.name for name in layer.node.output if name}


def _latencies(
    file: onnx.ModelProto, batch: Mapping[str, Values], budget: Budget
) -> dict[str, float]:
    """Returns the median seconds of nodes, as ONNX Runtime's own profile tells."""
    if file.ByteSize() > _LARGEST:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            file.SerializeToString(), options, ["CPUExecutionProvider"]
        )
        median_seconds(lambda: session.run(None, dict(batch)), budget, repeats=3)
        events = json.loads(Path(session.end_profiling()).read_text())
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            taken[name.removesuffix("_kernel_time")].append(event["dur"] / 1e6)
    # The first run warms up.
    return {name: median(seconds[1:] or seconds) for name, seconds in taken.items()}

"""Networks whose large layers become two small ones: fewer numbers where outputs go together."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from services.pruner.domain.foreign.graphs import (
    Array,
    Changed,
    Rows,
    attributes,
    called,
    constants,
    copied,
    is_kept,
    observed,
    plural,
    replace,
    set_constant,
    taken,
)

Floats = npt.NDArray[np.float64]

# Two layers cost more than their multiplications say: with less than this gain one stays.
_LARGEST_SHARE = 0.7
# The runtime computes channels of convolutions by as many at a time.
_STEP = 16
_MOST_ROWS, _BATCH_ROWS, _BATCH_SAMPLES = 4096, 256, 2000
_FEWEST_OUTPUTS = 8


@dataclass(frozen=True)
class _Layer:
    """A layer with constant weights.

    Attributes:
        node: Its node.
        weights: (outputs, inputs), of a convolution the inputs of all its places.
        bias: (outputs,).
        shape: Of the kernel, (channels, places along each axis); empty where there is none.
    """

    node: onnx.NodeProto
    weights: Floats
    bias: Floats
    shape: tuple[int, ...]

    @property
    def value(self) -> str:
        """Name of what it gives."""
        return self.node.output[0]


def factored(
    model: onnx.ModelProto,
    rows: Rows,
    tolerance: float,
    check: Callable[[], None] = lambda: None,
    kept_layers: Collection[str] = (),
) -> Changed:
    """Returns a model with layers of low rank.

    What a layer gives mostly lies near a space of fewer dimensions: the first of two layers gives
    the place in it, the second what it stands for. The space is that of the principal components of
    what the layer gives on the rows, not of its weights (Zhang et al., Accelerating very deep
    convolutional networks for classification and detection, 2015).

    Args:
        model: As `folded` gives it, without branches and loops.
        rows: Inputs by name, from which outputs of layers are known.
        tolerance: Share of the variance of what a layer gives that may get lost.
        check: Called before each layer; what it raises ends the work.
        kept_layers: Names of layers that stay as they are.
    """
    layers = [each for each in _layers(model.graph) if not is_kept(each.node, kept_layers)]
    if not layers:
        return Changed(model)
    axes = {each.value: 1 if each.shape else -1 for each in layers}

    def keep(name: str, found: Array) -> Array:
        return _samples(np.moveaxis(found, axes[name], -1))

    few = taken(rows, slice(_MOST_ROWS))
    values = observed(model, few, list(axes), _BATCH_ROWS, keep)
    new, notes = copied(model), []
    del new.graph.value_info[:]
    for layer in layers:
        check()
        note = _factor(new.graph, layer, values[layer.value].astype(np.float64), tolerance)
        notes += [note] if note else []
    if not notes:
        return Changed(model)
    _drop_unused(new.graph)
    return Changed(new, (f"{plural(len(notes), 'layer')} became two each.", *notes))


def _layers(graph: onnx.GraphProto) -> Iterator[_Layer]:
    known = {name: numpy_helper.to_array(each) for name, each in constants(graph).items()}
    for node in graph.node:
        if len(node.input) < 2 or node.input[0] in known or node.input[1] not in known:
            continue
        weights, bias = known[node.input[1]], _bias(node, known)
        if bias is None or weights.dtype != np.float32:
            continue
        found = _layer(node, weights, bias)
        if found is not None and len(found.weights) >= _FEWEST_OUTPUTS:
            yield found


def _bias(node: onnx.NodeProto, known: dict[str, Array]) -> Array | None:
    """Returns the bias; None where it is no constant."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(1)
    return known.get(node.input[2])


def _layer(node: onnx.NodeProto, weights: Array, bias: Array) -> _Layer | None:
    own = attributes(node)
    if node.op_type == "Conv":
        if own.get("group", 1) != 1:
            return None
        flat, shape = weights.reshape(len(weights), -1), weights.shape[1:]
    elif node.op_type == "MatMul" and weights.ndim == 2:
        flat, shape = weights.T, ()
    elif node.op_type == "Gemm" and _is_plain(own):
        flat, shape = weights if own.get("transB", 0) else weights.T, ()
    else:
        return None
    if bias.size not in (1, len(flat)):
        return None
    full = np.broadcast_to(bias.reshape(-1), len(flat)).astype(np.float64)
    return _Layer(node, flat.astype(np.float64), full, shape)


def _is_plain(own: dict[str, object]) -> bool:
    return (own.get("transA", 0), own.get("alpha", 1.0), own.get("beta", 1.0)) == (0, 1.0, 1.0)


def _samples(values: Array) -> Array:
    """Returns some of the places of a batch, (samples, outputs)."""
    flat = values.reshape(-1, values.shape[-1])
    return flat[:: max(len(flat) // _BATCH_SAMPLES, 1)]


def _factor(graph: onnx.GraphProto, layer: _Layer, values: Floats, tolerance: float) -> str:
    """Puts two layers where one was; returns what was done, or nothing."""
    outputs, inputs = layer.weights.shape
    if not np.isfinite(values).all() or len(values) <= outputs:
        return ""
    mean = values.mean(axis=0)
    spread, space = np.linalg.eigh(np.cov(values - mean, rowvar=False))
    lost = np.concatenate([[0.0], np.cumsum(np.maximum(spread, 0.0))])
    spared = int(np.searchsorted(lost, tolerance * lost[-1], side="right")) - 1
    step = _STEP if layer.shape else 1
    rank = max(-(-(outputs - spared) // step) * step, 1)
    if rank * (inputs + outputs) > _LARGEST_SHARE * inputs * outputs:
        return ""
    basis = space[:, -rank:]
    bias = basis @ (basis.T @ (layer.bias - mean)) + mean
    _put_two(graph, layer, basis, bias)
    return f"{called(layer.node)} has rank {rank:,} of {min(inputs, outputs):,}."


def _put_two(graph: onnx.GraphProto, layer: _Layer, basis: Floats, bias: Floats) -> None:
    name, first = layer.value, basis.T @ layer.weights
    inner, weights, second, added = (f"{name}/{part}" for part in ("rank", "in", "out", "bias"))
    is_convolution = bool(layer.shape)
    if is_convolution:
        first = first.reshape(-1, *layer.shape)
        last = basis.reshape(*basis.shape, *(1 for _ in layer.shape[1:]))
    else:
        first, last = first.T, basis.T
    for constant, numbers in ((weights, first), (second, last), (added, bias)):
        set_constant(graph, constant, numbers.astype(np.float32))
    given, result = layer.node.input[0], layer.node.output[0]
    if is_convolution:
        nodes = [
            _like(layer.node, [given, weights], inner),
            helper.make_node("Conv", [inner, second, added], [result], name=second),
        ]
    else:
        product = f"{name}/product"
        nodes = [
            helper.make_node("MatMul", [given, weights], [inner], name=weights),
            helper.make_node("MatMul", [inner, second], [product], name=second),
            helper.make_node("Add", [product, added], [result], name=added),
        ]
    place = next(at for at, node in enumerate(graph.node) if list(node.output) == [result])
    replace(graph.node, [*graph.node[:place], *nodes, *graph.node[place + 1 :]])


def _like(node: onnx.NodeProto, inputs: list[str], output: str) -> onnx.NodeProto:
    """Returns a node with the attributes of another one."""
    new = onnx.NodeProto()
    new.CopyFrom(node)
    replace(new.input, inputs)
    replace(new.output, [output])
    new.name = output
    return new


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    used |= {each.name for each in graph.output}
    replace(graph.initializer, [each for each in graph.initializer if each.name in used])

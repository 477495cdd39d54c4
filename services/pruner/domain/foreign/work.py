"""How many multiply-accumulates an ONNX model takes for a row."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from services.pruner.domain.foreign.graphs import (
    Array,
    Rows,
    accepted,
    batches,
    observed,
    row_count,
)

Shape = tuple[int, ...]

# Place of the weights among the inputs of a node.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = {"MatMul": 1, "MatMulInteger": 1, "Gemm": 1, "QLinearMatMul": 3}
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


def multiplications(model: onnx.ModelProto, rows: Rows) -> float:
    """Returns the multiply-accumulates of convolutions, products and recurrent layers, for a row.

    Shapes are those of a run, so that nothing need be known of them. What trees compare, and what
    is added or scaled number by number, does not count.

    Args:
        model: As `read_model` gives it.
        rows: Inputs by name; a few are enough.

    Raises:
        ForeignModelError: It takes more rows at once than there are.
    """
    nodes = [each for each in model.graph.node if _weights_of(each) is not None]
    if not nodes:
        return 0.0
    known = {each.name: tuple(each.dims) for each in model.graph.initializer}
    shapes = dict(known)
    names = dict.fromkeys(name for node in nodes for name in _looked_at(node) if name not in known)

    def keep(name: str, values: Array) -> Array:
        shapes[name] = values.shape
        return np.zeros(0)

    batch = next(batches(model, accepted(model, rows)), rows)
    observed(model, batch, list(names), keep=keep)
    return sum(_work(each, shapes) for each in nodes) / max(row_count(batch), 1)


def _weights_of(node: onnx.NodeProto) -> int | None:
    """Returns which input of a node is its weights; None where it does not count."""
    if node.op_type in _RECURRENT:
        return 1
    return {**_CONVOLUTIONS, **_PRODUCTS}.get(node.op_type)


def _looked_at(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the names of values whose shapes tell what a node takes."""
    place = _weights_of(node)
    assert place is not None
    yield from (node.input[0], node.input[place], node.output[0])
    if node.op_type in _RECURRENT:
        yield node.input[2]


def _work(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> float:
    given, weights, result, *more = (shapes[name] for name in _looked_at(node))
    if node.op_type in _RECURRENT:
        # Of each step all weights, of each row: (steps, rows, inputs).
        return math.prod(given[:2]) * (math.prod(weights[1:]) + math.prod(more[0][1:])) * weights[0]
    if node.op_type in _CONVOLUTIONS:
        # Of each place of each channel that comes out: (channels, inputs, places along axes).
        return float(math.prod(result) * math.prod(weights[1:]))
    is_transposed = any(each.name == "transA" and each.i for each in node.attribute)
    return float(math.prod(result) * given[-2 if is_transposed else -1])

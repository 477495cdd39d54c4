"""What a model asks for and does not need: columns are named, inputs of their own go."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.pruner.domain.foreign.columns import Columns, needed_columns
from services.pruner.domain.foreign.folding import folded
from services.pruner.domain.foreign.graphs import (
    Changed,
    attributes,
    captured,
    copied,
    replace,
)

_NAMED = 20


def without_inputs(model: onnx.ModelProto) -> Changed:
    """Returns a model that does not ask for inputs that it does not need; outputs stay equal.

    An input that is a matrix keeps its width, for old rows must still fit.

    Args:
        model: As `read_model` gives it.
    """
    needed = needed_columns(model)
    gone = [each for each in model.graph.input if not needed[each.name].any()]
    kept = [each for each in model.graph.input if needed[each.name].any()]
    notes = [_columns_note(each.name, needed[each.name]) for each in kept]
    notes = [note for note in notes if note]
    if not gone or not kept:
        return Changed(model, tuple(notes))
    new = copied(model)
    _cut_off(new, needed)
    smaller = folded(new).model
    asked = {name for node in smaller.graph.node for name in [*node.input, *captured(node)]}
    names = [each.name for each in gone if each.name not in asked]
    left = [each.name for each in gone if each.name in asked]
    replace(smaller.graph.input, [each for each in model.graph.input if each.name not in names])
    notes = [f"It no longer asks for `{name}`: no output depends on it." for name in names] + notes
    notes += [f"`{name}` stays, though no output depends on its values." for name in left]
    return Changed(smaller if names else model, tuple(notes))


def _columns_note(name: str, needed: Columns) -> str:
    places = np.flatnonzero(~needed).tolist()
    if not places:
        return ""
    more = "" if len(places) <= _NAMED else f" and {len(places) - _NAMED:,} more"
    listed = ", ".join(map(str, places[:_NAMED])) + more
    return f"No output depends on {len(places):,} of {len(needed):,} columns of `{name}`: {listed}."


def _cut_off(model: onnx.ModelProto, needed: dict[str, Columns]) -> None:
    """Puts zeros where columns are put side by side of which some do not matter."""
    kinds = {each.name: each.type.tensor_type.elem_type for each in _infos(model)}
    nodes = list[onnx.NodeProto]()
    for node in model.graph.node:
        is_beside = node.op_type == "Concat" and attributes(node)["axis"] in {1, -1}
        kind = next((kinds[name] for name in node.input if name in kinds), TensorProto.STRING)
        sources = [name for name in node.input if needed[name].any()]
        if is_beside and sources and kind != TensorProto.STRING:
            for place, name in enumerate(node.input):
                if not needed[name].any():
                    zeros = f"{name}/zeros/{len(nodes)}"
                    nodes += _zeros(model.graph, sources[0], len(needed[name]), kind, zeros)
                    node.input[place] = zeros
        nodes.append(node)
    replace(model.graph.node, nodes)


def _infos(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return [*graph.input, *graph.value_info]


def _zeros(
    graph: onnx.GraphProto, source: str, width: int, kind: int, name: str
) -> list[onnx.NodeProto]:
    """Returns nodes that give a matrix of zeros with the rows of another one.

    Adds the constants that they need.
    """
    zero = np.zeros(1, helper.tensor_dtype_to_np_dtype(kind))
    for part, value in (("first", 0), ("width", width)):
        graph.initializer.append(
            numpy_helper.from_array(np.array([value], np.int64), f"{name}/{part}")
        )
    return [
        helper.make_node("Shape", [source], [f"{name}/shape"]),
        helper.make_node("Gather", [f"{name}/shape", f"{name}/first"], [f"{name}/rows"], axis=0),
        helper.make_node("Concat", [f"{name}/rows", f"{name}/width"], [f"{name}/sides"], axis=0),
        helper.make_node(
            "ConstantOfShape", [f"{name}/sides"], [name], value=numpy_helper.from_array(zero)
        ),
    ]

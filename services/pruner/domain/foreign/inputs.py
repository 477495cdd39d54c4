"""What a model asks for and does not need: columns are named, inputs of their own go."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.pruner.domain.foreign.columns import Columns, needed_columns
from services.pruner.domain.foreign.folding import folded
from services.pruner.domain.foreign.graphs import (
    Changed,
    captured,
    constants,
    copied,
    replace,
)

_NAMED = 20


def unneeded_columns(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Returns the columns that no output depends on, by input; of a needless input all of them.

    Nothing uses them, all their weights are 0, or no tree compares them. A value without columns
    has one, 0.

    Args:
        model: As `read_model` gives it.
    """
    needed = needed_columns(model)
    found = {each.name: np.flatnonzero(~_of(needed, each.name)) for each in model.graph.input}
    return {name: tuple(places.tolist()) for name, places in found.items() if len(places)}


def without_inputs(model: onnx.ModelProto) -> Changed:
    """Returns a model that does not ask for inputs that it does not need; outputs stay equal.

    An input that is a matrix keeps its width, for old rows must still fit.

    Args:
        model: As `read_model` gives it.
    """
    needed = needed_columns(model)
    gone = [each for each in model.graph.input if not _of(needed, each.name).any()]
    kept = [each for each in model.graph.input if _of(needed, each.name).any()]
    notes = [_columns_note(each.name, needed[each.name]) for each in kept]
    notes = [note for note in notes if note]
    if not gone or not kept:
        return Changed(model, tuple(notes))
    new = copied(model)
    _cut_off(new, needed, kept)
    smaller = folded(new).model
    asked = {name for node in smaller.graph.node for name in [*node.input, *captured(node)]}
    names = [each.name for each in gone if each.name not in asked]
    left = [each.name for each in gone if each.name in asked]
    replace(smaller.graph.input, [each for each in model.graph.input if each.name not in names])
    notes = [f"It no longer asks for `{name}`: no output depends on it." for name in names] + notes
    notes += [f"`{name}` stays, though no output depends on its values." for name in left]
    return Changed(smaller if names else model, tuple(notes))


def _of(needed: dict[str, Columns], name: str) -> Columns:
    return needed.get(name, np.zeros(1, bool))


def _columns_note(name: str, needed: Columns) -> str:
    places = np.flatnonzero(~needed).tolist()
    if not places:
        return ""
    more = "" if len(places) <= _NAMED else f" and {len(places) - _NAMED:,} more"
    listed = ", ".join(map(str, places[:_NAMED])) + more
    return f"No output depends on {len(places):,} of {len(needed):,} columns of `{name}`: {listed}."


def _cut_off(
    model: onnx.ModelProto, needed: dict[str, Columns], kept: list[onnx.ValueInfoProto]
) -> None:
    """Lets nodes take zeros where they take a matrix whose values do not matter."""
    infos = {each.name: each.type.tensor_type for each in _infos(model)}
    known, nodes = constants(model.graph), list[onnx.NodeProto]()
    for node in model.graph.node:
        is_needed = any(_of(needed, name).any() for name in node.output)
        for place, name in enumerate(node.input):
            is_free = is_needed and name in infos and name not in known
            if is_free and not _of(needed, name).any():
                zeros = _zeros(infos[name], kept, f"{name}/zeros/{len(nodes)}", model.graph)
                nodes += zeros
                node.input[place] = zeros[-1].output[0] if zeros else name
        nodes.append(node)
    replace(model.graph.node, nodes)


def _infos(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return [*graph.input, *graph.value_info]


def _zeros(
    kind: onnx.TypeProto.Tensor,
    kept: list[onnx.ValueInfoProto],
    name: str,
    graph: onnx.GraphProto,
) -> list[onnx.NodeProto]:
    """Returns nodes that give as many rows of zeros as an input has rows; none if none has.

    Adds the constants that they need.
    """
    sides = kind.shape.dim
    is_matrix = len(sides) == 2 and sides[1].dim_value > 0
    sources = [each for each in kept if _rows(each.type.tensor_type) == _rows(kind)]
    if not is_matrix or not sources or kind.elem_type == TensorProto.STRING:
        return []
    zero = np.zeros(1, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    for part, value in (("first", 0), ("width", sides[1].dim_value)):
        graph.initializer.append(
            numpy_helper.from_array(np.array([value], np.int64), f"{name}/{part}")
        )
    return [
        helper.make_node("Shape", [sources[0].name], [f"{name}/shape"]),
        helper.make_node("Gather", [f"{name}/shape", f"{name}/first"], [f"{name}/rows"], axis=0),
        helper.make_node("Concat", [f"{name}/rows", f"{name}/width"], [f"{name}/sides"], axis=0),
        helper.make_node(
            "ConstantOfShape", [f"{name}/sides"], [name], value=numpy_helper.from_array(zero)
        ),
    ]


def _rows(kind: onnx.TypeProto.Tensor) -> tuple[int, str]:
    """Returns what is known of how many rows there are; the same for inputs of a model's rows."""
    sides = kind.shape.dim
    return (sides[0].dim_value, sides[0].dim_param) if sides else (-1, "")

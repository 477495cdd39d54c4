"""ONNX graphs: made ready for changes, who uses what, and the values that flow in them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import inliner, numpy_helper

from common.models.onnx_session import onnx_session

Array = npt.NDArray[Any]
Rows = Mapping[str, Array]

_WEIGHT, _IN_TWINS = ".weight", "network."
_NUMBERS_AT_ONCE = 4_000_000
# Initialisers are constants, and no inputs, from this version on.
_IR_VERSION = 4
_WEIGHTED = frozenset(
    [
        "Add",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "Div",
        "GRU",
        "Gemm",
        "InstanceNormalization",
        "LSTM",
        "LayerNormalization",
        "MatMul",
        "Mul",
        "RNN",
        "Sub",
    ]
)
# Attributes of weights: thresholds, members and replaced values may well be NaN.
_WEIGHTS = frozenset(
    [
        "base_values",
        "base_values_as_tensor",
        "class_weights",
        "class_weights_as_tensor",
        "coefficients",
        "intercepts",
        "leaf_weights",
        "offset",
        "scale",
        "support_vectors",
        "target_weights",
        "target_weights_as_tensor",
    ]
)


class ForeignModelError(ValueError):
    """A model that nothing smaller can be made of; says where and why."""


@dataclass(frozen=True)
class Changed:
    """A model after a step.

    Attributes:
        model: It.
        notes: What was done or left alone, whole sentences.
    """

    model: onnx.ModelProto
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Use:
    """Where a value is used.

    Attributes:
        node: The node; None for an output of the graph.
        place: Which of its inputs it is; -1 within a graph that the node holds.
    """

    node: onnx.NodeProto | None = field(compare=False)
    place: int


def read_model(content: bytes) -> onnx.ModelProto:
    """Returns a model for changes: its functions inlined, its initialisers no inputs.

    Raises:
        ForeignModelError: It is no model, keeps tensors elsewhere, or has weights that are NaN.
    """
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ForeignModelError("The content is no ONNX model.") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ForeignModelError(f"The tensor `{tensor.name}` is kept in another file.")
    if model.functions:
        model = inliner.inline_local_functions(model)
    if model.ir_version < _IR_VERSION:
        names = {tensor.name for tensor in model.graph.initializer}
        inputs = [each for each in model.graph.input if each.name not in names]
        replace(model.graph.input, inputs)
        model.ir_version = _IR_VERSION
    _check_weights(model.graph)
    return model


def _check_weights(graph: onnx.GraphProto) -> None:
    known = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        inputs = [known[name] for name in node.input if name in known]
        for tensor in inputs if node.op_type in _WEIGHTED else []:
            _check_numbers(numpy_helper.to_array(tensor), f"`{tensor.name}` of {called(node)}")
        for attribute in node.attribute:
            if attribute.name in _WEIGHTS:
                value = onnx.helper.get_attribute_value(attribute)
                numbers = as_array(value)
                _check_numbers(numbers, f"`{attribute.name}` of {called(node)}")
        for inner in subgraphs(node):
            _check_weights(inner)


def _check_numbers(numbers: Array, where: str) -> None:
    if numbers.dtype.kind == "f" and np.isnan(numbers).any():
        count = int(np.isnan(numbers).sum())
        raise ForeignModelError(
            f"The weights {where} are NaN in {count} of {numbers.size} places: "
            "a model that gives no numbers is not made smaller."
        )


def called(node: onnx.NodeProto) -> str:
    """Returns what a node is called in notes."""
    return f"{node.op_type} `{node.name or next(filter(None, node.output), '')}`"


def is_kept(node: onnx.NodeProto, kept: Collection[str]) -> bool:
    """Returns whether a node is one of the layers that stay as they are.

    Args:
        node: The node.
        kept: Names of nodes, or of their weights without `.weight` and what a twin has before them.
    """
    weights = [name.removesuffix(_WEIGHT) for name in node.input if name.endswith(_WEIGHT)]
    names = {node.name, *weights, *(each.removeprefix(_IN_TWINS) for each in weights)}
    return not names.isdisjoint(kept)


def kept_layer_missing(model: onnx.ModelProto, kept: Sequence[str]) -> int | None:
    """Returns the place of the first name of a layer that a model does not have, None of none."""
    layers = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    known = [any(is_kept(node, [name]) for node in layers) for name in kept]
    return known.index(False) if False in known else None


def as_array(value: Any) -> Array:
    """Returns an attribute's value, tensor or list, as an array."""
    is_tensor = isinstance(value, onnx.TensorProto)
    return np.asarray(numpy_helper.to_array(value) if is_tensor else value)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Returns the attributes of a node by name."""
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    return new


def replace(repeated: Any, values: Iterable[Any]) -> None:
    """Gives a repeated field of a message other values."""
    kept = list(values)
    del repeated[:]
    repeated.extend(kept)


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Returns initialisers that no caller can override, by name."""
    overridable = {each.name for each in graph.input}
    return {each.name: each for each in graph.initializer if each.name not in overridable}


def set_constant(graph: onnx.GraphProto, name: str, values: Array) -> None:
    """Gives an initialiser other values, or adds one."""
    tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
    for each in graph.initializer:
        if each.name == name:
            each.CopyFrom(tensor)
            return
    graph.initializer.append(tensor)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yields the graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def has_subgraphs(model: onnx.ModelProto) -> bool:
    """Returns whether there are branches or loops."""
    return any(True for node in model.graph.node for _ in subgraphs(node))


def captured(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the names that are used within the graphs of a node."""
    for graph in subgraphs(node):
        yield from (each.name for each in graph.output)
        for inner in graph.node:
            yield from inner.input
            yield from captured(inner)


def uses(graph: onnx.GraphProto) -> dict[str, list[Use]]:
    """Returns where each value is used, by name."""
    found: dict[str, list[Use]] = defaultdict(list)
    for node in graph.node:
        for place, name in enumerate(node.input):
            found[name].append(Use(node, place))
        for name in captured(node):
            found[name].append(Use(node, -1))
    for place, output in enumerate(graph.output):
        found[output.name].append(Use(None, place))
    return found


def renamed(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Lets nodes use other values, within their own graphs too."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
        for inner in subgraphs(node):
            renamed(inner, names)


def observed(
    model: onnx.ModelProto,
    rows: Rows,
    names: Sequence[str],
    most: int | None = None,
    keep: Callable[[str, Array], Array] = lambda _, values: values,
) -> dict[str, Array]:
    """Returns values that flow in a model, by name.

    Args:
        model: The model.
        rows: Its inputs.
        names: Names of inputs, or of outputs of nodes.
        most: Rows that are computed at once where the model takes any number; None for all.
        keep: What is kept of a value of that name, for large ones.

    Raises:
        ForeignModelError: It takes more rows at once than there are.
    """
    wanted = list(dict.fromkeys(names))
    watched = copied(model)
    given = {each.name for each in [*watched.graph.output, *watched.graph.input]}
    watched.graph.output.extend(onnx.ValueInfoProto(name=x) for x in wanted if x not in given)
    session, parts = onnx_session(watched.SerializeToString()), []
    computed = [name for name in wanted if name not in rows]
    for batch in batches(model, accepted(model, rows), most):
        values = {name: batch[name] for name in wanted if name in rows}
        if computed:
            values |= dict(zip(computed, session.run(computed, batch), strict=True))
        parts.append([keep(name, np.asarray(values[name])) for name in wanted])
    if not parts:
        raise ForeignModelError("It takes more rows at once than there are.")
    whole = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return dict(zip(wanted, whole, strict=True))


def batches(
    model: onnx.ModelProto, rows: Rows, most: int | None = None
) -> Iterator[dict[str, Array]]:
    """Yields rows in the numbers that a model takes.

    Args:
        model: It may take a fixed number of rows only; rows that do not fill that are left out.
        rows: Its inputs.
        most: Rows in a batch where the model takes any number; None for all at once.
    """
    sides = [each.type.tensor_type.shape.dim for each in model.graph.input]
    sizes = {dims[0].dim_value if dims else 0 for dims in sides}
    count = row_count(rows)
    size, end = most or count, count
    if len(sizes) == 1 and (fixed := sizes.pop()):
        size, end = fixed, count - count % fixed
    for start in range(0, end, max(size, 1)):
        yield taken(rows, slice(start, start + size))


def row_count(rows: Rows) -> int:
    """Returns how many rows there are: some inputs may have no axis of rows."""
    return max((len(values) for values in rows.values() if np.ndim(values)), default=0)


def taken(rows: Rows, places: slice | Array) -> dict[str, Array]:
    """Returns some of the rows; an input that has no axis of rows stays whole."""
    count = row_count(rows)
    return {
        name: values[places] if np.ndim(values) and len(values) == count else values
        for name, values in rows.items()
    }


def outputs(model: onnx.ModelProto, rows: Rows) -> dict[str, Array]:
    """Returns the outputs of a model by name; of large rows it computes some at once."""
    numbers = sum(np.size(values) for values in accepted(model, rows).values())
    most = max(_NUMBERS_AT_ONCE * row_count(rows) // max(numbers, 1), 1)
    names = [each.name for each in model.graph.output]
    return observed(model, rows, names, most if numbers > _NUMBERS_AT_ONCE else None)


def accepted(model: onnx.ModelProto, rows: Rows) -> dict[str, Array]:
    """Returns what of the rows a model asks for."""
    asked = {each.name for each in model.graph.input}
    return {name: values for name, values in rows.items() if name in asked}


def distance(original: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    """Returns how far outputs are off: mean square of differences by variance, the largest.

    Outputs that are no floating-point numbers do not count.
    """
    found = [0.0]
    for name, values in original.items():
        if values.dtype.kind == "f":
            numbers = values.astype(np.float64)
            spread = float(numbers.var(axis=0).mean()) or 1.0
            found.append(float(np.square(numbers - other[name]).mean()) / spread)
    return max(found)


def plural(count: int, thing: str) -> str:
    """Returns a number with its noun."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"

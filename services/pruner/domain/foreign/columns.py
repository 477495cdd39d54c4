"""Which columns of its inputs the outputs of an ONNX graph depend on, followed backwards."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from services.pruner.domain.foreign.ensemble_nodes import (
    UnreadableTreesError,
    is_trees,
    read_trees,
)
from services.pruner.domain.foreign.graphs import (
    Array,
    as_array,
    attributes,
    captured,
    constants,
)

Columns = npt.NDArray[np.bool_]

_ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Clip",
        "Div",
        "Dropout",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "Imputer",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Scaler",
        "Sigmoid",
        "Sign",
        "Sqrt",
        "Sub",
        "Tanh",
        "Where",
    ]
)
_ROW_BY_ROW = frozenset({"Binarizer", "Cast", "Imputer", "Normalizer", "Scaler"})


@dataclass(frozen=True)
class Graph:
    """What the rules need to know.

    Attributes:
        constants: Values of constants by name.
        widths: Columns of matrices by name.
    """

    constants: dict[str, Array]
    widths: dict[str, int]

    def width(self, name: str) -> int:
        """Returns the columns of a value; 1 of what is no matrix, which is needed as a whole."""
        return self.widths.get(name, 1)


Rule = Callable[[onnx.NodeProto, Columns, Graph], Columns | None]


def needed_columns(model: onnx.ModelProto) -> dict[str, Columns]:
    """Returns for values which of their columns the outputs depend on.

    Args:
        model: The model.

    Returns:
        By name of inputs and of what nodes give; a value without columns has one entry.
    """
    graph = _known(model)
    needed = {each.name: np.zeros(graph.width(each.name), bool) for each in model.graph.input}
    needed |= {each.name: np.ones(graph.width(each.name), bool) for each in model.graph.output}
    for node in reversed(model.graph.node):
        given = [needed.get(name, np.zeros(1, bool)) for name in node.output if name]
        is_needed = any(each.any() for each in given)
        first = given[0] if len(given) == 1 else np.ones(graph.width(node.output[0]), bool)
        for place, name in enumerate(node.input):
            found = np.zeros(graph.width(name), bool)
            if is_needed:
                found = _asked(node, place, first, graph)
            needed[name] = needed.get(name, np.zeros_like(found)) | found
        for name in captured(node):
            needed[name] = np.full(graph.width(name), is_needed) | needed.get(name, False)
    return needed


def _known(model: onnx.ModelProto) -> Graph:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = {name: numpy_helper.to_array(each) for name, each in constants(model.graph).items()}
    widths = {name: each.shape[1] for name, each in values.items() if each.ndim == 2}
    for info in [*inferred.input, *inferred.value_info, *inferred.output]:
        sides = info.type.tensor_type.shape.dim
        if len(sides) == 2 and sides[1].dim_value > 0:
            widths[info.name] = sides[1].dim_value
    for node in model.graph.node:
        _add_width(node, widths, values)
    return Graph(values, widths)


def _add_width(node: onnx.NodeProto, widths: dict[str, int], values: dict[str, Array]) -> None:
    """Adds the columns of what a node gives where ONNX infers no shape, as of its ML operators."""
    known = [widths[name] for name in node.input if name in widths]
    if node.output[0] in widths or not known:
        return
    if node.op_type in _ROW_BY_ROW:
        widths[node.output[0]] = known[0]
    elif node.op_type == "ArrayFeatureExtractor" and node.input[1] in values:
        widths[node.output[0]] = values[node.input[1]].size
    elif node.op_type == "Concat" and len(known) == len(node.input):
        widths[node.output[0]] = sum(known)


def _asked(node: onnx.NodeProto, place: int, given: Columns, graph: Graph) -> Columns:
    """Returns which columns of an input a node needs for some of its output's columns."""
    everything = np.ones(graph.width(node.input[place]), bool)
    is_matrix = node.input[place] in graph.widths
    if node.op_type == "Concat" and attributes(node)["axis"] in {1, -1} and is_matrix:
        ends = np.cumsum([graph.width(name) for name in node.input])
        return (
            given[ends[place] - len(everything) : ends[place]]
            if ends[-1] == len(given)
            else everything
        )
    if node.op_type in _ELEMENTWISE or node.op_type in {"Flatten", "Reshape"}:
        is_same = is_matrix and node.output[0] in graph.widths and len(given) == len(everything)
        return given if is_same else everything
    if place or not is_matrix:
        return everything
    rule = _trees if is_trees(node) else _RULES.get(node.op_type)
    found = rule(node, given, graph) if rule else None
    return everything if found is None else found


def _trees(node: onnx.NodeProto, given: Columns, graph: Graph) -> Columns | None:
    found = np.zeros(graph.width(node.input[0]), bool)
    try:
        found[read_trees(node).ensemble.columns()] = True
    except UnreadableTreesError:
        return None
    return found


def _linear(node: onnx.NodeProto, given: Columns, graph: Graph) -> Columns | None:
    weights = as_array(attributes(node)["coefficients"]).reshape(-1, graph.width(node.input[0]))
    return np.asarray((weights != 0).any(axis=0))


def _product(node: onnx.NodeProto, given: Columns, graph: Graph) -> Columns | None:
    weight, options = graph.constants.get(node.input[1]), attributes(node)
    if weight is None or weight.ndim != 2 or options.get("transA", 0):
        return None
    weight = weight.T if options.get("transB", 0) else weight
    if weight.shape[1] != len(given):
        return None
    return np.asarray((weight[:, given] != 0).any(axis=1))


def _picked(node: onnx.NodeProto, given: Columns, graph: Graph) -> Columns | None:
    places = graph.constants.get(node.input[1])
    is_columns = node.op_type == "ArrayFeatureExtractor" or attributes(node).get("axis", 0) in {
        1,
        -1,
    }
    if places is None or not is_columns or places.size != len(given):
        return None
    found = np.zeros(graph.width(node.input[0]), bool)
    found[places.ravel()[given]] = True
    return found


_RULES: dict[str, Rule] = {
    "ArrayFeatureExtractor": _picked,
    "Gather": _picked,
    "Gemm": _product,
    "LinearClassifier": _linear,
    "LinearRegressor": _linear,
    "MatMul": _product,
}

"""Preparations of tables as ONNX operators."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from common.models.estimators.chain import Chain
from common.models.estimators.components import Components
from common.models.estimators.scaled_matrix import ScaledMatrix
from common.models.estimators.selection import Selection
from common.models.estimators.table_codes import TableCodes
from common.models.estimators.target_codes import TargetCodes
from common.models.twins.graph import TREES, Graph, NoTwinError
from common.models.twins.numbers import scaled
from common.models.twins.times import told_times

_LARGEST = 1e30

Frame = Mapping[str, str]
"""Tensors of the columns by their names, (rows,)."""


def prepared(graph: Graph, part: Any, frame: Frame) -> str:
    """Returns the matrix that a fitted preparation makes of columns."""
    if isinstance(part, Chain):
        matrix = prepared(graph, part.parts[0], frame)
        for each in part.parts[1:]:
            matrix = _next(graph, each, matrix)
        return matrix
    if isinstance(part, TableCodes):
        return _table(graph, part, frame)
    raise NoTwinError(f"{type(part).__name__} takes what ONNX has no operators for")


def _next(graph: Graph, part: Any, matrix: str) -> str:
    convert = _STEPS.get(type(part))
    if convert is None:
        raise NoTwinError(f"{type(part).__name__} has no counterpart")
    return convert(graph, part, matrix)


def _table(graph: Graph, part: TableCodes, frame: Frame) -> str:
    found = []
    for name in part.numbers:
        column = graph.upright(frame[name])
        found.append(graph.clipped(column, [[-_LARGEST]], [[_LARGEST]]))
    for name, levels in zip((*part.categories, *part.ranked), part.levels_, strict=True):
        found.append(_coded(graph, frame[name], levels))
    if part.times:
        found += told_times(graph, [frame[name] for name in part.times], part.is_cyclic)
    if not found:
        raise NoTwinError("there are no columns")
    return graph.beside(found)


def _coded(graph: Graph, column: str, levels: list[str]) -> str:
    """Returns the codes of texts, NaN for those that are not known; missing ones are empty."""
    if "" in levels:
        raise NoTwinError("a category is an empty text, which stands for missing in ONNX")
    if not levels:
        levels = ["\0"]  # an operator needs one
    codes = graph.add(
        "LabelEncoder",
        column,
        domain=TREES,
        keys_strings=levels,
        values_int64s=list(range(len(levels))),
        default_int64=-1,
    )
    numbers = graph.cast(codes)
    is_known = graph.add("GreaterOrEqual", numbers, graph.constant(0.0))
    return graph.upright(graph.add("Where", is_known, numbers, graph.constant(np.nan)))


def _target_codes(graph: Graph, part: TargetCodes, matrix: str) -> str:
    positions = set(part.positions)
    others = [each for each in range(part.n_features_in_) if each not in positions]
    found = [graph.columns(matrix, others)] if others else []
    for position, means in zip(part.positions, part.means_, strict=True):
        codes = places(graph, matrix, position, len(means) - 1)
        found.append(graph.add("Gather", graph.constant(means), codes, axis=0))
    return graph.beside(found)


def _scaled_matrix(graph: Graph, part: ScaledMatrix, matrix: str) -> str:
    codes = set(part.codes)
    others = [each for each in range(part.n_features_in_) if each not in codes]
    found = []
    if len(part.scaler_.kept_):
        own = [others[position] for position in part.scaler_.kept_]
        numbers = scaled(graph, part.scaler_, graph.columns(matrix, own))
        found.append(numbers)
        if part.multiplied:
            count = int(np.searchsorted(part.scaler_.kept_, part.multiplied))
            found += _products(graph, numbers, count)
    for position, each in zip(part.codes, part.places_, strict=True):
        found += _indicators(graph, matrix, position, each)
    if not found:
        first = graph.columns(matrix, [0])
        found.append(graph.add("Mul", graph.cast(graph.add("IsNaN", first)), graph.constant(0.0)))
    return graph.beside(found)


def _products(graph: Graph, numbers: str, count: int) -> list[str]:
    left, right = np.triu_indices(count)
    if not len(left):
        return []
    return [
        graph.add(
            "Mul", graph.columns(numbers, left.tolist()), graph.columns(numbers, right.tolist())
        )
    ]


def _indicators(graph: Graph, matrix: str, position: int, own: npt.NDArray[np.int64]) -> list[str]:
    """Returns the indicators of a column of codes, of which each has some places in a row."""
    used = np.unique(own[own >= 0])
    if not len(used):
        return []
    codes = places(graph, matrix, position, len(own) - 1)
    chosen = graph.upright(graph.add("Gather", graph.constant(own, np.int64), codes, axis=0))
    return [graph.cast(graph.add("Equal", chosen, graph.ints(used.tolist())))]


def places(graph: Graph, matrix: str, position: int, levels: int) -> str:
    """Returns the codes of a column as int64, `levels` for missing ones and those beyond."""
    column = graph.add("Squeeze", graph.columns(matrix, [position]), graph.ints([1]))
    is_known = graph.add("Less", column, graph.constant(float(levels)))
    safe = graph.add("Where", is_known, column, graph.constant(float(levels)))
    return graph.cast(safe, TensorProto.INT64)


def _selection(graph: Graph, part: Selection, matrix: str) -> str:
    return graph.columns(matrix, part.kept_.tolist())


def _components(graph: Graph, part: Components, matrix: str) -> str:
    found = graph.add("MatMul", matrix, graph.constant(part.directions_))
    return graph.add("Sub", found, graph.constant(part.offset_))


_STEPS: Mapping[type, Callable[[Graph, Any, str], str]] = MappingProxyType(
    {
        TargetCodes: _target_codes,
        ScaledMatrix: _scaled_matrix,
        Selection: _selection,
        Components: _components,
    }
)

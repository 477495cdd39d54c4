"""Graphs that were made of a small network, over the columns that the original takes."""

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import TensorProto, compose, helper

from common.data.schema import Column, ColumnType
from common.models.preprocessing import UNKNOWN_CODE, CategoricalColumn
from services.pruner.domain.students.lessons import Lessons

_INNER = "network/"
_LABELS_DOMAIN, _LABELS_VERSION = "ai.onnx.ml", 3


def over_columns(content: bytes, lessons: Lessons) -> bytes:
    """Returns a graph that takes columns by name, (rows, 1), in place of numbers and codes.

    A graph has no preprocessing beside it: nobody would know its codes. Numbers and truth values
    are float64 with NaN for missing, labels are texts.

    Args:
        content: A graph over the network's inputs `numeric` and `categories`, or one of these.
        lessons: Tell of the columns.
    """
    model = compose.add_prefix(onnx.ModelProto.FromString(content), _INNER, rename_outputs=False)
    graph, columns = model.graph, {each.name: each for each in lessons.columns}
    names = {
        f"{_INNER}numeric": [each.name for each in lessons.preprocessing.numeric],
        f"{_INNER}categories": [each.name for each in lessons.preprocessing.categorical],
    }
    known = {each.name: each for each in lessons.preprocessing.categorical}
    front: list[onnx.NodeProto] = []
    inputs: list[onnx.ValueInfoProto] = []
    for whole in [*graph.input]:
        taken = [columns[name] for name in names[whole.name]]
        inputs += map(_input, taken)
        for each in taken:
            front += _codes(each, known[each.name]) if each.name in known else []
        parts = [_code_name(each.name) if each.name in known else each.name for each in taken]
        front.append(helper.make_node("Concat", parts, [whole.name], axis=1))
    nodes = [*front, *graph.node]
    del graph.input[:], graph.node[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)
    if _LABELS_DOMAIN not in {each.domain for each in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_LABELS_DOMAIN, _LABELS_VERSION))
    return bytes(model.SerializeToString())


def _input(column: Column) -> onnx.ValueInfoProto:
    is_text = column.type is ColumnType.CATEGORICAL
    kind = TensorProto.STRING if is_text else TensorProto.DOUBLE
    return helper.make_tensor_value_info(column.name, kind, ["rows", 1])


def _codes(column: Column, known: CategoricalColumn) -> Iterator[onnx.NodeProto]:
    """Yields what makes codes of a column's labels; what is missing is among no keys."""
    codes = range(UNKNOWN_CODE + 1, UNKNOWN_CODE + 1 + len(known.labels))
    given = column.name
    keys: dict[str, Any] = {"keys_strings": list(known.labels) or [""]}
    if column.type is not ColumnType.CATEGORICAL:
        given = f"{_INNER}number of {column.name}"
        yield helper.make_node("Cast", [column.name], [given], to=TensorProto.FLOAT)
        numbers = [float(column.labels.index(label)) for label in known.labels]
        keys = {"keys_floats": numbers or [0.0]}
    attributes = {
        **keys,
        "values_int64s": [*codes] or [UNKNOWN_CODE],
        "default_int64": UNKNOWN_CODE,
    }
    made = [_code_name(column.name)]
    yield helper.make_node("LabelEncoder", [given], made, domain=_LABELS_DOMAIN, **attributes)


def _code_name(column: str) -> str:
    return f"{_INNER}code of {column}"

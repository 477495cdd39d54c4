"""Rows of a data set as a model from elsewhere takes them. Imports scikit-learn, ONNX Runtime."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.rows import Values
from common.models.frames import NUMBER, PIXELS, TEXT, TRUTH, FrameColumn
from common.models.onnx_model import OnnxModel
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel

ForeignModel: TypeAlias = OnnxModel | SkopsModel

_TRUTHS = {
    **dict.fromkeys(("true", "1", "1.0"), True),
    **dict.fromkeys(("false", "0", "0.0"), False),
    **dict.fromkeys(("none", "nan", ""), None),
}


class MisfitError(ValueError):
    """The data set does not have what a model takes: a sentence without its subject."""


def inputs_of_rows(model: ForeignModel, rows: SampleRows) -> dict[str, Values]:
    """Returns rows of a data set as a model takes them.

    Raises:
        MisfitError: They do not fit; says which column, or how many.
    """
    return _table(model, rows) if isinstance(model, SkopsModel) else _fed(model, rows)


def _table(model: SkopsModel, rows: SampleRows) -> dict[str, Values]:
    """Returns the columns of a data set as an estimator takes them."""
    if model.is_named:
        return {each.name: _frame_column(each, rows) for each in model.columns}
    [spec] = model.signature.inputs
    if spec.dtype == NUMBER:
        return {spec.name: _matrix(spec, list(rows.numeric.values()))}
    return {spec.name: _matrix(spec, list(rows.columns.values()))}


def _frame_column(column: FrameColumn, rows: SampleRows) -> Values:
    if column.dtype != PIXELS:
        return _column(column.name, column.dtype, rows)
    pictures = rows.images.get(column.name)
    if pictures is None:
        raise MisfitError(f"has no pictures `{column.name}`, which the model takes")
    if pictures.shape[1:] != column.shape:
        given, wanted = (" x ".join(map(str, each)) for each in (pictures.shape[1:], column.shape))
        raise MisfitError(f"has pictures of {given} in `{column.name}`; the model takes {wanted}")
    return pictures


def _column(name: str, dtype: str, rows: SampleRows) -> Values:
    """Returns a column of a data set as a model takes it."""
    values = rows.named(name)
    if values is None:
        raise MisfitError(f"has no column `{name}`, which the model takes")
    if values.ndim > 1 and dtype in (TRUTH, TEXT):
        raise MisfitError(
            f"has vectors in the column `{name}`, of which the model takes single values"
        )
    if dtype == TRUTH:
        return _truths(name, values)
    if dtype == TEXT:
        return values if values.dtype.kind == "O" else _number_texts(values)
    try:
        return values.astype(dtype)
    except (ValueError, TypeError):
        raise MisfitError(
            f"has texts in the column `{name}`, of which the model takes numbers"
        ) from None


def _truths(name: str, values: Values) -> Values:
    """Returns truth values; objects where some are missing."""
    words = [str(each).strip().lower() for each in values.tolist()]
    strange = next((word for word in words if word not in _TRUTHS), None)
    if strange is not None:
        raise MisfitError(
            f"has `{strange[:40]}` in the column `{name}`, of which the model takes truth values"
        )
    truths = [_TRUTHS[word] for word in words]
    return np.array(truths, dtype=object if None in truths else bool)


def _number_texts(values: Values) -> Values:
    texts = [None if each != each else f"{each:.15g}" for each in values.tolist()]
    return np.array(texts, dtype=object)


def _fed(model: OnnxModel, rows: SampleRows) -> dict[str, Values]:
    """Returns the columns of a data set as the inputs of an ONNX model."""
    specs = model.signature.inputs
    if all(rows.named(spec.name) is not None for spec in specs):
        return {spec.name: _input(spec, rows) for spec in specs}
    if len(specs) == 1 and len(specs[0].shape) == 2:
        return {specs[0].name: _matrix(specs[0], list(rows.numeric.values()))}
    if len(specs) == 1 and len(specs[0].shape) == 4 and len(rows.images) == 1:
        return {specs[0].name: next(iter(rows.images.values())).astype(specs[0].dtype)}
    takes = ", ".join(f"`{spec.name}`" for spec in specs)
    raise MisfitError(f"has no columns for the inputs {takes}")


def _input(spec: model_pb2.TensorSpec, rows: SampleRows) -> Values:
    values = _column(spec.name, spec.dtype, rows)
    if spec.dtype == TEXT:  # ONNX has no missing texts.
        values = np.array(["" if each is None else each for each in values], dtype=object)
    return values if values.ndim > 1 else values.reshape(-1, *[1] * (len(spec.shape) - 1))


def _matrix(spec: model_pb2.TensorSpec, columns: Sequence[Values]) -> Values:
    width = sum(each.shape[1] if each.ndim > 1 else 1 for each in columns)
    if spec.shape[1] not in (-1, width):
        kind = "columns" if spec.dtype == TEXT else "columns of numbers"
        raise MisfitError(f"has {width} {kind}, and the model takes {spec.shape[1]}")
    try:
        return np.column_stack(columns).astype(spec.dtype)
    except (ValueError, TypeError):
        raise MisfitError(f"has no columns that the model takes as {spec.dtype}") from None

"""Looks into a model file from elsewhere: what it takes and gives, and what it says for samples.

Only for a process of its own: the file is loaded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from common.models.onnx_model import OnnxModel, open_onnx
from common.models.skops_model import SkopsModel, open_skops
from common.models.vectors import Tensors, Vectors, replay
from services.catalog.domain.model_spec import (
    CLASSES,
    DATASET_VERSION,
    TASK,
    UPLOAD,
    ModelFormat,
)
from services.catalog.domain.sample_rows import SampleRows, Values

VECTOR_ROWS = 16
"""Rows of the test vectors."""

# Sides that the signature leaves open, other than rows, get this length in random samples.
_OPEN_SIDE = 32


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        signature: Inputs, outputs, classes.
        task: What it predicts.
        vectors: Sample inputs and what the model gave for them.
        metrics: Measured on sample rows; empty where that cannot be.
        parameter_count: Numbers in the model; 0 where that is not known.
    """

    signature: model_pb2.Signature
    task: Task
    vectors: Vectors
    metrics: dict[str, float]
    parameter_count: int


def inspect_model(
    content: bytes,
    kind: ModelFormat,
    task: Task | None,
    classes: Sequence[str],
    rows: SampleRows | None,
) -> Inspection:
    """Checks a model file and runs it on samples.

    Args:
        content: The file.
        kind: ONNX or skops.
        task: What it predicts; None to ask the file.
        classes: Class labels in the order of the output; empty to ask the file.
        rows: Sample rows; None for random ones.

    Raises:
        InvalidFieldError: Names the field of the import and what is wrong.
    """
    model = open_onnx(content, UPLOAD) if kind is ModelFormat.ONNX else open_skops(content, UPLOAD)
    if isinstance(model, SkopsModel):
        task = _estimators_task(model, task)
        _check_labels(model.signature.classes, classes)
    assert task is not None, "an ONNX import has a task"
    signature = model_pb2.Signature()
    signature.CopyFrom(model.signature)
    signature.classes[:] = model.signature.classes or classes
    inputs = _random(signature) if rows is None else _fed(model, rows)
    outputs = _run(model, inputs)
    _check_classes(signature, outputs)
    vectors = Vectors(_first(inputs), _run(model, _first(inputs)))
    _require_repeatable(model, vectors)
    metrics = _metrics(signature, task, outputs, rows.target if rows is not None else None)
    count = model.parameter_count if isinstance(model, OnnxModel) else 0
    return Inspection(signature, task, vectors, metrics, count)


def _estimators_task(model: SkopsModel, task: Task | None) -> Task:
    own = Task.CLASSIFICATION if model.is_classifier else Task.REGRESSION
    if task not in (None, own):
        raise InvalidFieldError(TASK, f"the file holds an estimator for {own}; leave it out")
    return own


def _check_labels(own: Sequence[str], classes: Sequence[str]) -> None:
    if classes and list(classes) != list(own):
        raise InvalidFieldError(
            CLASSES, f"the estimator's own are {', '.join(own[:20])}; leave them out"
        )


def _check_classes(signature: model_pb2.Signature, outputs: Tensors) -> None:
    count = len(signature.classes)
    widths = [values.shape[-1] for values in outputs.values() if values.ndim > 1]
    if count and widths and count not in widths:
        raise InvalidFieldError(
            CLASSES, f"{count} are given, and no output has as many columns (there are {widths})"
        )


def _random(signature: model_pb2.Signature) -> dict[str, Values]:
    generator = np.random.default_rng(0)
    inputs: dict[str, Values] = {}
    for spec in signature.inputs:
        rows = VECTOR_ROWS if not spec.shape or spec.shape[0] < 0 else spec.shape[0]
        sides = [_OPEN_SIDE if side < 0 else side for side in spec.shape[1:]]
        shape = (rows, *sides) if spec.shape else ()
        if spec.dtype == "object":
            inputs[spec.name] = generator.choice(np.array(["a", "b"], object), shape)
        elif np.dtype(spec.dtype).kind == "f":
            inputs[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            inputs[spec.name] = generator.integers(0, 2, shape).astype(spec.dtype)
    return inputs


def _fed(model: OnnxModel | SkopsModel, rows: SampleRows) -> dict[str, Values]:
    """Returns inputs made of a data set's columns."""
    specs = model.signature.inputs
    if isinstance(model, SkopsModel) and set(model.columns) <= set(rows.numeric):
        names = model.columns or tuple(rows.numeric)
        return {specs[0].name: _matrix(specs[0], [rows.numeric[name] for name in names])}
    if all(spec.name in rows.numeric for spec in specs):
        return {
            spec.name: rows.numeric[spec.name].reshape(-1, *[1] * (len(spec.shape) - 1))
            .astype(spec.dtype)
            for spec in specs
        }  # fmt: skip
    if len(specs) == 1 and len(specs[0].shape) == 2:
        return {specs[0].name: _matrix(specs[0], list(rows.numeric.values()))}
    if len(specs) == 1 and len(specs[0].shape) == 4 and len(rows.images) == 1:
        return {specs[0].name: next(iter(rows.images.values())).astype(specs[0].dtype)}
    takes = ", ".join(f"`{spec.name}`" for spec in specs)
    raise InvalidFieldError(
        DATASET_VERSION,
        f"has no columns for the inputs {takes}; leave it out to try the model on random samples",
        reason="COLUMNS_DO_NOT_FIT",
    )


def _matrix(spec: model_pb2.TensorSpec, columns: Sequence[Values]) -> Values:
    width = spec.shape[1]
    if width >= 0 and width != len(columns):
        raise InvalidFieldError(
            DATASET_VERSION,
            f"has {len(columns)} columns of numbers, and the model takes {width}",
            reason="COLUMNS_DO_NOT_FIT",
        )
    return np.stack(columns, axis=1).astype(spec.dtype)


def _run(model: OnnxModel | SkopsModel, inputs: Tensors) -> dict[str, Values]:
    try:
        return dict(model.predict(inputs))
    except Exception as error:  # What a model from elsewhere raises has no common root.
        text = str(error).strip().partition("\n")[0][:300]
        raise InvalidFieldError(
            UPLOAD, f"cannot be run on sample rows: {text}", reason="BAD_MODEL"
        ) from error


def _first(inputs: Tensors) -> dict[str, Values]:
    return {
        name: values[:VECTOR_ROWS] if values.ndim else values for name, values in inputs.items()
    }


def _require_repeatable(model: OnnxModel | SkopsModel, vectors: Vectors) -> None:
    try:
        replay(model_pb2.ModelVersion(name="The model"), vectors, model.predict)
    except DataLossError as error:
        raise InvalidFieldError(
            UPLOAD,
            f"does not give the same outputs for the same inputs ({error.message}); take what is "
            "random out of it",
            reason="BAD_MODEL",
        ) from None


def _metrics(
    signature: model_pb2.Signature, task: Task, outputs: Tensors, target: Values | None
) -> dict[str, float]:
    """Returns the error on sample rows, where outputs and target can be compared."""
    found = _predicted(signature, outputs)
    if target is None or found is None or len(found) != len(target):
        return {}
    if task is Task.CLASSIFICATION:
        known = set(signature.classes) & set(target.astype(str).tolist())
        share = float(np.mean(found.astype(str) == target.astype(str)))
        return {"validation/accuracy": share} if known else {}
    if task is Task.REGRESSION and target.dtype.kind == "f" and found.dtype.kind in "fiu":
        error = float(np.mean(np.abs(found.astype(np.float64) - target.astype(np.float64))))
        return {"validation/mean_absolute_error": error}
    return {}


def _predicted(signature: model_pb2.Signature, outputs: Tensors) -> Values | None:
    """Returns one prediction per row: a class label or a number."""
    labels: Values = np.array(signature.classes)
    for values in outputs.values():
        if len(labels) and values.ndim == 2 and values.shape[1] == len(labels):
            found: Values = labels.take(values.argmax(axis=1))
            return found
    first = next(iter(outputs.values()))
    if first.ndim > 2 or (first.ndim == 2 and first.shape[1] != 1):
        return None
    flat = first.reshape(-1)
    if not len(labels) or flat.dtype.kind not in "iu":
        return flat
    positions = flat.astype(np.int64)
    is_known = (positions >= 0) & (positions < len(labels))
    return labels.take(positions) if is_known.all() else flat

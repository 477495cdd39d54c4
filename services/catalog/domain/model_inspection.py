"""Looks into a model file from elsewhere: what it takes and gives, and what it says for samples.

Only for a process of its own: the file is loaded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.rows import Values
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from common.models.inputs import ForeignModel
from common.models.onnx_model import OnnxModel, open_onnx
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel, open_skops
from common.models.vectors import Tensors, Vectors, replay
from services.catalog.domain.model_inputs import VECTOR_ROWS, sample_inputs
from services.catalog.domain.model_spec import CLASSES, DATASET_VERSION, TASK, UPLOAD, ModelFormat


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
        _check_labels(model.signature.classes, classes)
    inputs = sample_inputs(model, rows)
    outputs = _run(model, inputs)
    first = _first(inputs)
    signature = model.described(outputs)
    signature.classes[:] = model.signature.classes or classes
    _check_classes(signature, outputs)
    vectors = Vectors(first, _run(model, first))
    _require_repeatable(model, vectors)
    task = _checked_task(model, task, first)
    metrics = _metrics(signature, task, outputs, rows.target if rows is not None else None)
    count = model.parameter_count if isinstance(model, OnnxModel) else 0
    return Inspection(signature, task, vectors, metrics, count)


def _checked_task(model: ForeignModel, task: Task | None, inputs: Tensors) -> Task:
    if isinstance(model, OnnxModel):
        assert task is not None, "an ONNX import has a task"
        return task
    own = model.task(inputs)
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


def _run(model: ForeignModel, inputs: Tensors) -> dict[str, Values]:
    try:
        return dict(model.predict(inputs))
    except Exception as error:  # What a model from elsewhere raises has no common root.
        text = str(error).strip().partition("\n")[0][:300]
        cure = f"name data that it takes in `{DATASET_VERSION}`, or mend the model"
        raise InvalidFieldError(
            UPLOAD, f"cannot be run on sample rows ({text}); {cure}", reason="BAD_MODEL"
        ) from error


def _first(inputs: Tensors) -> dict[str, Values]:
    return {
        name: values[:VECTOR_ROWS] if values.ndim else values for name, values in inputs.items()
    }


def _require_repeatable(model: ForeignModel, vectors: Vectors) -> None:
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
    """Returns one prediction per row, a class label or a number; None for several targets.

    A classifier may give probabilities of the classes, and the label besides.
    """
    labels: Values = np.array(signature.classes)
    tables = [each for each in outputs.values() if each.ndim == 2]
    rated = [each for each in tables if len(labels) and each.shape[1] == len(labels)]
    if len(rated) == 1:
        found: Values = labels.take(rated[0].argmax(axis=1))
        return found
    if len(outputs) > 1:
        return None
    first = next(iter(outputs.values()))
    if first.ndim > 2 or (first.ndim == 2 and first.shape[1] != 1):
        return None
    flat = first.reshape(-1)
    if not len(labels) or flat.dtype.kind not in "iu":
        return flat
    positions = flat.astype(np.int64)
    is_known = (positions >= 0) & (positions < len(labels))
    return labels.take(positions) if is_known.all() else flat

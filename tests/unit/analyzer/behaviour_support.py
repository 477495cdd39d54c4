"""Subjects whose outputs and truth are given, so that what is to be found is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx

from common.data.rows import Values
from common.data.schema import Column, ColumnType, Task
from common.models.onnx_model import OnnxModel, open_onnx
from services.analyzer.domain.behaviour.observed import Observed, observed
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import OutlierMarks, Subject
from tests.support.analysis import numeric_columns, sample_of, subject_of
from tests.unit.analyzer.relations_support import FunctionModel


def subject_giving(
    outputs: Outputs,
    truth: Values | None,
    task: Task = Task.CLASSIFICATION,
    names: Sequence[str] = (),
    gives_probabilities: bool = True,
    sample: Sample | None = None,
    marked: Values | None = None,
) -> Subject:
    """Returns a subject whose model gives these outputs for the sample."""
    rows = len(outputs)
    if sample is None:
        sample = noise_sample(rows, 2)
    classes = names or [f"class {place}" for place in range(outputs.shape[1])]
    model = FunctionModel(
        lambda _: outputs, list(sample.columns), task, classes, gives_probabilities
    )
    kind = ColumnType.NUMERIC if task is Task.REGRESSION else ColumnType.CATEGORICAL
    subject = subject_of(model, replace(sample, truth=truth), target=Column("pay", kind))
    if marked is None:
        return subject
    marks = OutlierMarks("outlierScans/seen", np.asarray(marked, np.bool_), np.zeros(rows))
    return replace(subject, outliers=marks)


def observed_of(*arguments: object, **options: object) -> Observed:
    """Returns what is observed of `subject_giving` of the same arguments."""
    return observed(subject_giving(*arguments, **options))[0]  # type: ignore[arg-type]


def noise_sample(rows: int, columns: int, seed: int = 0) -> Sample:
    """Returns columns of normal numbers, `c0`, `c1` and so on."""
    values = np.random.default_rng(seed).normal(size=(rows, columns))
    return numbers_sample({f"c{place}": each for place, each in enumerate(values.T)})


def numbers_sample(values: Mapping[str, Values]) -> Sample:
    """Returns numeric columns."""
    table = np.nan_to_num(np.column_stack([*values.values()]).astype(np.float64))
    return sample_of(numeric_columns(table, list(values)), values, None)


def drawn_classes(outputs: Outputs, seed: int = 0) -> Values:
    """Returns classes drawn with just the probabilities that a model gives."""
    drawn = np.random.default_rng(seed).random((len(outputs), 1))
    return np.asarray((outputs.cumsum(axis=1)[:, :-1] < drawn).sum(axis=1), np.int64)


def drawn_probabilities(rows: int, classes: int, seed: int = 0) -> Outputs:
    """Returns probabilities of classes."""
    generator = np.random.default_rng(seed)
    return np.asarray(generator.dirichlet(np.full(classes, 0.7), rows))


def linear_onnx(weights: npt.NDArray[np.float32]) -> OnnxModel:
    """Returns an ONNX model that gives the softmax of one matrix times weights."""
    features, classes = weights.shape
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["features", "weights"], ["logits"]),
            onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [value("features", kind, ["rows", features])],
        [value("probabilities", kind, ["rows", classes])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    return open_onnx(model.SerializeToString(), "onnx")

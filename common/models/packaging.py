"""Estimators as versions in the catalog: skops files that were opened and tried."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import put_artifact
from common.data.rows import Values
from common.models.estimators.picture_cells import pictures_of
from common.models.frames import NUMBER, PIXELS, TEXT, FrameColumn
from common.models.inputs import inputs_of_rows
from common.models.sample_rows import SampleRows
from common.models.skops_import import skops_io
from common.models.skops_model import SkopsModel, open_skops
from common.models.store import TEST_VECTORS
from common.models.vectors import Vectors, encode, replay
from common.scoring.kinds import ProblemKind

_BINARY = "application/octet-stream"
_SAFETENSORS = "application/vnd.safetensors"
_SKOPS = "skops"
_VECTOR_ROWS = 16
_TASKS = {
    ProblemKind.BINARY: dataset_pb2.TASK_CLASSIFICATION,
    ProblemKind.MULTICLASS: dataset_pb2.TASK_CLASSIFICATION,
    ProblemKind.MULTI_LABEL: dataset_pb2.TASK_MULTI_LABEL,
    ProblemKind.REGRESSION: dataset_pb2.TASK_REGRESSION,
    ProblemKind.FORECASTING: dataset_pb2.TASK_FORECASTING,
}


@dataclass(frozen=True)
class Package:
    """An estimator as it is kept.

    Attributes:
        content: The skops file.
        signature: Inputs, outputs and classes.
        vectors: Sample inputs with what the model gave for them.
    """

    content: bytes
    signature: model_pb2.Signature
    vectors: Vectors


def packaged(estimator: Any, rows: pd.DataFrame | SampleRows) -> Package:
    """Returns a model as it is kept: opened from its own file, as every other program does.

    Args:
        estimator: The model.
        rows: Some that it may be given, for test vectors: features, or rows of a data set.

    Raises:
        DataLossError: What comes out of the file gives other outputs.
        InvalidFieldError: The file cannot be opened.
    """
    content: bytes = skops_io.dumps(estimator)
    model = open_skops(content, _SKOPS)
    inputs = _vector_inputs(model, rows)
    outputs = dict(_named(model, estimator).predict(inputs))
    vectors = Vectors(inputs, {name: np.asarray(each) for name, each in outputs.items()})
    replay(model_pb2.ModelVersion(name="The model"), vectors, model.predict)
    return Package(content, model.described(outputs), vectors)


def store_package(
    store: ObjectStore, prefix: str, package: Package, kind: ProblemKind
) -> model_pb2.ModelVersion:
    """Writes the files of a model.

    Args:
        store: Where to.
        prefix: Begins the keys of its files, ends with `/`.
        package: The model.
        kind: What it was learned for.

    Returns:
        A version without metrics and lineage.
    """
    files = {
        _SKOPS: put_artifact(store, f"{prefix}model.skops", package.content, _BINARY),
        TEST_VECTORS: put_artifact(
            store, f"{prefix}samples.safetensors", encode(package.vectors), _SAFETENSORS
        ),
    }
    return model_pb2.ModelVersion(
        task=_TASKS[kind],
        format=model_pb2.MODEL_FORMAT_SKOPS,
        signature=package.signature,
        artifacts=files,
    )


def model_inputs(model: SkopsModel, features: pd.DataFrame) -> dict[str, Values]:
    """Returns rows as a model takes them, an array for each column."""
    return {each.name: _input(features[each.name], each) for each in model.columns}


def _vector_inputs(model: SkopsModel, rows: pd.DataFrame | SampleRows) -> dict[str, Values]:
    if isinstance(rows, SampleRows):
        return inputs_of_rows(model, rows.take(np.arange(min(rows.count, _VECTOR_ROWS))))
    return model_inputs(model, rows.iloc[:_VECTOR_ROWS])


def _named(model: SkopsModel, estimator: Any) -> SkopsModel:
    """Returns the model around an estimator that did not come from a file."""
    return SkopsModel(estimator, model.columns, model.is_named, model.signature)


def _input(values: "pd.Series[Any]", column: FrameColumn) -> Values:
    if column.dtype == PIXELS:
        return pictures_of(values.tolist(), column.shape)
    if column.dtype == TEXT:
        texts = [None if value != value else str(value) for value in values.tolist()]
        return np.array(texts, dtype=object)
    if column.dtype == NUMBER:
        return np.asarray(values.to_numpy(np.float64), np.float64)
    return np.asarray(values.to_numpy(np.float64) > 0)

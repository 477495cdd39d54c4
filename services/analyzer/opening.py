"""Opens model versions to be looked into. Imports torch, scikit-learn and ONNX Runtime."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import fetch_artifact
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import FailedPreconditionError, InvalidFieldError
from common.models.onnx_model import load_onnx
from common.models.package import load_package
from common.models.skops_model import load_skops
from common.models.store import read_preprocessing
from common.networks.modules import build_network
from common.networks.specification import from_proto
from common.protobuf import enum_short_name
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.metrics import METRICS
from services.analyzer.domain.models.foreign import (
    ForeignAnalysed,
    OnnxAnalysed,
    SklearnAnalysed,
    fake_row,
)
from services.analyzer.domain.models.model import AnalysedModel, Check
from services.analyzer.domain.models.torch_package import TorchPackage

_TORCH = (model_pb2.MODEL_FORMAT_UNSPECIFIED, model_pb2.MODEL_FORMAT_TORCH_PACKAGE)
_FOREIGN = (model_pb2.MODEL_FORMAT_ONNX, model_pb2.MODEL_FORMAT_SKOPS)
_NOT_TAKEN = frozenset({ColumnType.TIMESTAMP})


@dataclass(frozen=True)
class OpenedModel:
    """A model version, opened.

    Attributes:
        version: Its record.
        model: The model.
        targets: Columns of the data that it predicts; empty where the data has none.
    """

    version: model_pb2.ModelVersion
    model: AnalysedModel
    targets: tuple[str, ...]


def check_format(version: model_pb2.ModelVersion, field: str) -> None:
    """Raises `InvalidFieldError` where a model version is of no kind that can be analysed."""
    if version.format not in (*_TORCH, *_FOREIGN):
        kind = enum_short_name(model_pb2.ModelFormat.DESCRIPTOR, version.format)
        raise InvalidFieldError(
            field,
            f"{version.name} is a {kind}; name a package of the trainer, or a scikit-learn or ONNX "
            "model.",
        )
    task = enum_short_name(dataset_pb2.Task.DESCRIPTOR, version.task)
    is_known = task in METRICS or (version.format in _TORCH and task != Task.FORECASTING)
    if not is_known:
        raise InvalidFieldError(
            field,
            f"{version.name} is for the task {task}; name a model for {', '.join(METRICS)}.",
            reason="TASK_NOT_SUPPORTED",
        )


def feature_columns(schema: Schema) -> tuple[Column, ...]:
    """Returns the columns that models may take unasked: all but targets and times."""
    targets = {*schema.targets, schema.target}
    return tuple(
        each for each in schema.columns if each.name not in targets and each.type not in _NOT_TAKEN
    )


def describe_model(
    store: ObjectStore, version: model_pb2.ModelVersion, schema: Schema
) -> OpenedModel:
    """Opens a model version to be checked: a network has its layers, but no weights.

    Raises:
        FailedPreconditionError: A file of it is missing.
        DataLossError: A file of it is damaged.
        InvalidFieldError: A model from elsewhere is not allowed to be loaded.
        UnusableModelError: The data do not have what a model from elsewhere takes.
    """
    if version.format not in _TORCH:
        opened = _foreign(store, version, schema, lambda: None)
        assert isinstance(opened.model, ForeignAnalysed)
        opened.model.predict(fake_row({each.name: each for each in opened.model.columns}))
        return opened
    return _package(store, version, schema, Path(), lambda: _layers_of(version), lambda: None)


def open_model(
    store: ObjectStore,
    version: model_pb2.ModelVersion,
    schema: Schema,
    weights: Path,
    check: Check,
) -> OpenedModel:
    """Opens a model version to be analysed.

    Args:
        store: Where its files are.
        version: Its record.
        schema: Of the data that it is looked at on.
        weights: Where to put the weights of a network.
        check: Called between batches; raises to stop.

    Raises:
        FailedPreconditionError: A file of it is missing.
        DataLossError: A file of it is damaged.
    """
    if version.format not in _TORCH:
        return _foreign(store, version, schema, check)
    if "weights" not in version.artifacts:
        raise FailedPreconditionError(f"{version.name} has no file `weights`.")
    fetch_artifact(store, version.artifacts["weights"], weights)

    def load() -> nn.Module:
        return load_package(store, version, weights).network

    return _package(store, version, schema, weights, load, check)


def _package(
    store: ObjectStore,
    version: model_pb2.ModelVersion,
    schema: Schema,
    weights: Path,
    load: Callable[[], nn.Module],
    check: Check,
) -> OpenedModel:
    preprocessing = read_preprocessing(version, store)
    package = TorchPackage(from_proto(version.network), preprocessing, weights, load, check)
    target = preprocessing.target.name
    is_there = any(column.name == target for column in schema.columns)
    return OpenedModel(version, package, (target,) if is_there else ())


def _layers_of(version: model_pb2.ModelVersion) -> nn.Module:
    with torch.device("meta"):
        return build_network(version.network)


def _foreign(
    store: ObjectStore, version: model_pb2.ModelVersion, schema: Schema, check: Check
) -> OpenedModel:
    task = Task(enum_short_name(dataset_pb2.Task.DESCRIPTOR, version.task))
    targets = tuple(schema.targets) or ((schema.target,) if schema.target else ())
    outputs = _outputs(version, task, targets, schema)
    opened: ForeignAnalysed
    if version.format == model_pb2.MODEL_FORMAT_SKOPS:
        estimator = load_skops(store, version)
        columns = taken_columns(schema, estimator.signature)
        opened = SklearnAnalysed(estimator, task, outputs, columns, check)
    else:
        model = load_onnx(store, version, os.cpu_count() or 1)
        columns = taken_columns(schema, model.signature)
        opened = OnnxAnalysed(model, task, outputs, columns, check)
    return OpenedModel(version, opened, targets if task is Task.MULTI_LABEL else targets[:1])


def taken_columns(schema: Schema, signature: model_pb2.Signature) -> tuple[Column, ...]:
    """Returns the columns that a model from elsewhere may take; times where it asks for them."""
    usual = {each.name for each in feature_columns(schema)}
    asked = {each.name for each in signature.inputs}
    times = {each.name for each in schema.columns if each.type in _NOT_TAKEN}
    return tuple(each for each in schema.columns if each.name in (usual | (times & asked)))


def _outputs(
    version: model_pb2.ModelVersion, task: Task, targets: tuple[str, ...], schema: Schema
) -> tuple[str, ...]:
    """Returns what the outputs stand for; of a model that does not say, the data's labels."""
    classes = tuple(version.signature.classes)
    if task is Task.REGRESSION:
        return targets[:1] or ("value",)
    if task is Task.MULTI_LABEL:
        return targets
    if not classes and targets:
        classes = schema.column(targets[0]).labels
    if not classes:
        raise UnusableModelError(
            f"{version.name} does not say what its classes are; import it with `classes`."
        )
    return classes

"""Model versions and data in a store in memory."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import skops.io
import torch
from sklearn.base import BaseEstimator
from torch import nn

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.schema import Task
from common.models.preprocessing import NumericColumn, Preprocessing, Target
from common.models.skops_model import open_skops
from common.models.store import TEST_VECTORS
from common.models.twin import Twin, output_name
from common.models.vectors import Tensors, Vectors, encode
from common.networks.modules import build_network
from common.networks.specification import NetworkSpecification, complete, to_proto
from common.testing.datasets import Array, store_dataset

DATA = "datasets/flowers/versions/1"
CLASSES = ("big", "small")
COLUMNS = ("length", "width", "height")
TARGET = "size"


def flowers(rows: int = 120, seed: int = 0) -> dict[str, Array]:
    """Returns three columns of numbers and a label that goes by their sum."""
    values = np.random.default_rng(seed).normal(size=(rows, 3))
    labels = np.where(values.sum(axis=1) > 0, "big", "small").astype(object)
    return {**dict(zip(COLUMNS, values.T, strict=True)), TARGET: labels}


def thirds(rows: int) -> np.ndarray:
    """Returns parts of a split: half for training, a quarter each for validation and test."""
    return np.array([0, 0, 1, 2] * (rows // 4 + 1), np.uint8)[:rows]


def stored(
    store: MemoryStore,
    folder: Path,
    columns: Mapping[str, Array] | None = None,
    parts: np.ndarray | None = None,
    target: str = TARGET,
    task: Task = Task.CLASSIFICATION,
    name: str = DATA,
) -> dataset_pb2.DatasetVersion:
    """Stores a data set version."""
    columns = columns or flowers()
    count = len(next(iter(columns.values())))
    split = thirds(count) if parts is None else parts
    return store_dataset(store, folder, columns, split, target=target, task=task, name=name)


def package(
    store: MemoryStore, name: str = "models/m/versions/1", *, is_broken: bool = False
) -> model_pb2.ModelVersion:
    """Stores a package of the trainer for `flowers`.

    Args:
        store: Where to.
        name: Of the version.
        is_broken: Whether a weight is NaN.
    """
    numeric = tuple(NumericColumn(name=each, mean=0.0, scale=1.0) for each in COLUMNS)
    target = Target(name=TARGET, task="classification", classes=CLASSES)
    preprocessing = Preprocessing(numeric=numeric, target=target)
    plain = NetworkSpecification.model_validate({"mlp": {"hidden_widths": (8,)}})
    specification = complete(plain, preprocessing.network_input, 2, "network")
    torch.manual_seed(0)
    network = build_network(specification).eval()
    if is_broken:
        with torch.no_grad():
            next(network.parameters())[0, 0] = float("nan")
    files = {
        "weights": safetensors.torch.save(network.state_dict()),
        "preprocessing": preprocessing.model_dump_json().encode(),
        TEST_VECTORS: _vectors_of(network, preprocessing),
    }
    version = model_pb2.ModelVersion(
        name=name,
        task=dataset_pb2.TASK_CLASSIFICATION,
        format=model_pb2.MODEL_FORMAT_TORCH_PACKAGE,
        network=to_proto(specification),
    )
    return _with_files(store, version, files)


def estimator(
    store: MemoryStore, fitted: BaseEstimator, name: str = "models/s/versions/1"
) -> model_pb2.ModelVersion:
    """Stores a fitted estimator over a matrix, as the catalog imports it."""
    content = skops.io.dumps(fitted)
    model = open_skops(content, "upload")
    inputs: dict[str, Array] = {
        "features": np.random.default_rng(0).normal(size=(4, fitted.n_features_in_))
    }
    outputs: Tensors = model.predict(inputs)
    files = {"skops": content, TEST_VECTORS: encode(Vectors(inputs, dict(outputs)))}
    task = dataset_pb2.TASK_CLASSIFICATION if model.is_classifier else dataset_pb2.TASK_REGRESSION
    version = model_pb2.ModelVersion(
        name=name,
        task=task,
        format=model_pb2.MODEL_FORMAT_SKOPS,
        signature=model.described(outputs),
    )
    return _with_files(store, version, files)


def _vectors_of(network: nn.Module, preprocessing: Preprocessing) -> bytes:
    inputs = np.random.default_rng(0).normal(size=(4, len(COLUMNS)))
    with torch.no_grad():
        outputs = Twin(network, preprocessing)(torch.from_numpy(inputs)).numpy()
    named: dict[str, Array] = {"numeric": inputs}
    given: dict[str, Array] = {output_name(preprocessing): outputs}
    return encode(Vectors(named, given))


def _with_files(
    store: MemoryStore, version: model_pb2.ModelVersion, files: Mapping[str, bytes]
) -> model_pb2.ModelVersion:
    for role, content in files.items():
        reference = put_artifact(store, f"{version.name}/{role}", io.BytesIO(content).read(), "x")
        version.artifacts[role].CopyFrom(reference)
    version.lineage.inputs.extend(["trainingRuns/t", DATA])
    return version

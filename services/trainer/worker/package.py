"""Builds the model package from the state that training ended with, and publishes it."""

import importlib.metadata
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from torch import Tensor, nn

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.protocol import ObjectStore
from common.models.preprocessing import Preprocessing, preprocessing_files
from common.models.store import TEST_VECTORS
from common.models.twin import export_twin, make_twin, output_name, signature
from common.networks.specification import to_proto
from services.trainer.domain.estimate import evaluation_rows
from services.trainer.domain.job import Job
from services.trainer.domain.objective import make_objectives
from services.trainer.worker.data import Examples
from services.trainer.worker.engine import evaluate
from services.trainer.worker.flat import FlatNetwork
from services.trainer.worker.own_code.network import make_network
from services.trainer.worker.state import RunState

SAMPLE_ROWS = 16
"""Rows of the test vectors."""
ONNX_ERROR_METRIC = "onnx/max_abs_error"
_BINARY = "application/octet-stream"
_LIBRARIES = (
    "aimass", "torch", "horovod", "numpy", "onnx", "onnxruntime", "onnxscript", "safetensors",
    "tokenizers", "pyarrow", "protobuf",
)  # fmt: skip
TASKS = {
    "classification": dataset_pb2.TASK_CLASSIFICATION,
    "regression": dataset_pb2.TASK_REGRESSION,
    "multi_label": dataset_pb2.TASK_MULTI_LABEL,
    "forecasting": dataset_pb2.TASK_FORECASTING,
}


@dataclass(frozen=True)
class _File:
    role: str
    name: str
    media_type: str
    content: bytes


def build_package(
    job: Job, state: RunState, rows: Examples, store: ObjectStore, beat: Callable[[], None]
) -> model_pb2.ModelVersion:
    """Builds and stores the package of the best epoch.

    Args:
        job: The run.
        state: Where training ended.
        rows: The data, for test vectors and test metrics.
        store: Where the package goes, under `<prefix>model/`.
        beat: Called now and then.

    Returns:
        The model version without name.
    """
    network = best_network(job, state, store)
    metrics = state.best_metrics | _test_metrics(job, network, rows, beat)
    samples = rows.raw(sample_rows(rows))
    name = output_name(job.preprocessing)
    twin = export_twin(make_twin(network, job.preprocessing), samples, name)
    metrics[ONNX_ERROR_METRIC] = twin.max_error
    files = [
        _File("weights", "weights.safetensors", _BINARY, _weights(network)),
        _json_file("specification", job.specification.model_dump_json(exclude_none=True)),
        *_preprocessing_files(job.preprocessing),
        _json_file("environment", json.dumps(environment(), indent=2)),
        _File("history", "history.parquet", "application/vnd.apache.parquet", history(state)),
        _File("onnx", "model.onnx", _BINARY, twin.content),
        _samples_file(samples, name, twin.outputs),
    ]
    version = _model_version(job, network, metrics)
    for file in files:
        key = f"{job.prefix}model/{file.name}"
        reference = put_artifact(store, key, file.content, file.media_type)
        version.artifacts[file.role].CopyFrom(reference)
    return version


def best_network(job: Job, state: RunState, store: ObjectStore) -> nn.Module:
    """Returns the network with the weights of the best epoch, in evaluation mode."""
    assert state.best_parameters is not None and state.best_buffers is not None
    flat = FlatNetwork(make_network(job, store), 0)
    with torch.no_grad():
        flat.parameters.copy_(state.best_parameters)
        flat.buffers.copy_(state.best_buffers)
    return flat.network.eval()


def history(state: RunState) -> bytes:
    """Returns the metrics of every epoch as a Parquet file with a column `epoch`."""
    values = np.array(state.history, np.float64).reshape(len(state.history), len(state.names))
    columns = {"epoch": pa.array(np.arange(1, len(values) + 1, dtype=np.int32))}
    columns |= {name: pa.array(values[:, index]) for index, name in enumerate(state.names)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def environment() -> dict[str, str]:
    """Returns the versions that a model was made with."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _test_metrics(
    job: Job, network: nn.Module, rows: Examples, beat: Callable[[], None]
) -> dict[str, float]:
    if len(rows.test) == 0:
        return {}
    at_once = evaluation_rows(job.specification)
    target, loss = job.preprocessing.target, job.specification.loss
    objective = make_objectives(target, loss, rows.class_shares).measuring
    sums = evaluate(network, objective, rows, rows.test, at_once, beat)
    return {f"test/{name}": value for name, value in objective.metrics(sums.tolist()).items()}


def sample_rows(rows: Examples) -> npt.NDArray[np.int64]:
    """Returns the rows of the test vectors.

    At least two, if need be the same one twice: the exporter takes a size of 1 for a constant.
    """
    source = rows.validation if len(rows.validation) >= SAMPLE_ROWS else rows.training
    return np.resize(source, max(2, min(SAMPLE_ROWS, len(source))))


def _weights(network: nn.Module) -> bytes:
    tensors = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(tensors)


def _json_file(role: str, content: str) -> _File:
    return _File(role, f"{role}.json", "application/json", content.encode())


def _preprocessing_files(preprocessing: Preprocessing) -> list[_File]:
    files = preprocessing_files(preprocessing)
    return [_json_file(role, content.decode()) for role, content in files.items()]


def _samples_file(samples: dict[str, Tensor], name: str, outputs: Tensor) -> _File:
    tensors = {f"input.{key}": tensor.contiguous() for key, tensor in samples.items()}
    content = safetensors.torch.save({**tensors, f"output.{name}": outputs.contiguous()})
    return _File(TEST_VECTORS, "samples.safetensors", _BINARY, content)


def lineage(job: Job) -> run_pb2.Lineage:
    """Returns what a model of a run comes from."""
    specification = job.specification
    outliers, distillation = specification.outliers, specification.distillation
    inputs = [
        specification.dataset_version,
        job.training_run,
        specification.parent_model_version,
        distillation.teacher_model_version if distillation is not None else "",
        outliers.scan if outliers is not None else "",
    ]
    return run_pb2.Lineage(inputs=[name for name in dict.fromkeys(inputs) if name])


def _model_version(
    job: Job, network: nn.Module, metrics: dict[str, float]
) -> model_pb2.ModelVersion:
    specification = job.specification
    assert specification.network is not None
    # What only its own code can build is an ONNX model to all others.
    is_own = specification.code is not None
    return model_pb2.ModelVersion(
        format=model_pb2.MODEL_FORMAT_ONNX if is_own else model_pb2.MODEL_FORMAT_UNSPECIFIED,
        task=TASKS[job.preprocessing.target.task],
        network=to_proto(specification.network),
        signature=signature(job.preprocessing),
        metrics=metrics,
        lineage=lineage(job),
        parameter_count=sum(parameter.numel() for parameter in network.parameters()),
    )

"""Training runs without agents: data, job files and worker contexts for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
from google.protobuf import json_format
from torch import Tensor

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.artifacts.protocol import ObjectStore
from common.artifacts.reference import ArtifactReference
from common.data.cache import HostCache
from common.data.messages import schema_from_proto
from common.data.scans import Scan
from common.data.schema import KnownDataset, SplitCounts, Task, TimeSeries
from common.data.shards import PARQUET_MEDIA_TYPE
from common.models.store import read_preprocessing
from common.networks.specification import from_proto
from common.protobuf import from_plain, to_plain
from common.testing.datasets import store_dataset
from services.trainer.domain.job import Job
from services.trainer.domain.origins import TrainedNetwork
from services.trainer.domain.outliers.resolution import resolve_outliers
from services.trainer.domain.preparation import prepare
from services.trainer.domain.resolution import resolve_against_data
from services.trainer.domain.specification import (
    read_specification,
    write_specification,
)
from services.trainer.worker.loop import Outcome
from services.trainer.worker.main import build, train
from services.trainer.worker.process import ProgressBoard, WorkerPlace, WorkerTask

Array = npt.NDArray[np.generic]


@dataclass
class Desk:
    """A store, a host cache and a commit directory; where tests train.

    Attributes:
        root: Directory for everything.
        store: The object store.
        reports: What workers reported, in order.
    """

    root: Path
    store: ObjectStore = field(default_factory=MemoryStore)
    reports: list[agents_pb2.WorkerReport] = field(default_factory=list)

    @property
    def cache(self) -> HostCache:
        """The host's decoded data."""
        return HostCache(self.root / "cache")

    def dataset(
        self,
        columns: Mapping[str, Array],
        parts: npt.NDArray[np.uint8],
        target: str,
        task: Task = Task.CLASSIFICATION,
    ) -> dataset_pb2.DatasetVersion:
        """Stores a data set version."""
        return store_dataset(self.store, self.root, columns, parts, target=target, task=task)

    def labelled(
        self,
        columns: Mapping[str, Array],
        parts: npt.NDArray[np.uint8],
        targets: Sequence[str],
    ) -> dataset_pb2.DatasetVersion:
        """Stores a data set version for multi-label."""
        return store_dataset(
            self.store, self.root, columns, parts, targets=targets, task=Task.MULTI_LABEL
        )

    def series(
        self,
        columns: Mapping[str, Array],
        parts: npt.NDArray[np.uint8],
        target: str,
        time_series: TimeSeries | None,
    ) -> dataset_pb2.DatasetVersion:
        """Stores a data set version of time series."""
        return store_dataset(
            self.store,
            self.root,
            columns,
            parts,
            target=target,
            task=Task.FORECASTING,
            time_series=time_series,
        )

    def scan(
        self,
        data: dataset_pb2.DatasetVersion,
        marked: npt.NDArray[np.bool_],
        probability: npt.NDArray[np.floating] | None = None,
    ) -> Scan:
        """Stores the scores of an outlier scan. By default marked rows are outliers for sure."""
        if probability is None:
            probability = marked.astype(np.float32)
        content = scores_file(marked, probability.astype(np.float32))
        stored = put_artifact(self.store, "runs/scan/scores.parquet", content, PARQUET_MEDIA_TYPE)
        scores = ArtifactReference.model_validate(to_plain(stored))
        return Scan("outlierScans/sample", data.name, "succeeded", scores)

    def job(
        self,
        data: dataset_pb2.DatasetVersion,
        spec: Mapping[str, object],
        run: str = "sample",
        parent: model_pb2.ModelVersion | None = None,
        scan: Scan | None = None,
        teacher: model_pb2.ModelVersion | None = None,
    ) -> Job:
        """Resolves a specification and prepares it as a coordinator does."""
        resolved = resolve_spec(data, spec, parent, self.store, scan, teacher)
        prefix = f"runs/trainingRuns/{run}/attempts/1/"
        return prepare(resolved, data, self.store, prefix, parent, teacher)

    def tensors(self, tensors: Mapping[str, Tensor], name: str = "tensors") -> dict[str, object]:
        """Stores tensors; returns the reference as plain values."""
        content = safetensors.torch.save({key: each.clone() for key, each in tensors.items()})
        return to_plain(put_artifact(self.store, f"runs/given/{name}", content, "application/x"))

    def context(self, job: Job, *, task: WorkerTask = "train", checkpoint: str = "") -> WorkerPlace:
        """Returns the context of a world of one."""
        commits = self.root / "commits" / job.training_run
        commits.mkdir(parents=True, exist_ok=True)
        return WorkerPlace(
            job_key=job.key,
            checkpoint_key=checkpoint,
            commit_dir=commits,
            report=self.reports.append,
            progress=ProgressBoard(ProgressBoard.create(1), 1),
            world=1,
            rank=0,
            size=1,
            local_rank=0,
            task=task,
            traceparent="",
        )

    def train(self, job: Job, checkpoint: str = "") -> Outcome:
        """Trains in this process, to the end."""
        return self.run(self.context(job, checkpoint=checkpoint))

    def run(self, context: WorkerPlace) -> Outcome:
        """Trains in this process, in a given context."""
        return train(context, self.store, self.cache)

    def package(self, job: Job) -> model_pb2.ModelVersion:
        """Builds the package in this process."""
        build(self.context(job, task="package"), self.store, self.cache)
        version = model_pb2.ModelVersion()
        json_format.Parse(self.reports[-1].package.model_version, version)
        version.name = "models/sample/versions/1"
        return version


def resolve_spec(
    data: dataset_pb2.DatasetVersion,
    spec: Mapping[str, object],
    parent: model_pb2.ModelVersion | None = None,
    store: ObjectStore | None = None,
    scan: Scan | None = None,
    teacher: model_pb2.ModelVersion | None = None,
) -> trainer_pb2.TrainingSpec:
    """Resolves a specification given as plain values, as the servicer does."""
    names = {"dataset_version": data.name, "model": "models/sample"}
    message = from_plain({**names, **spec}, trainer_pb2.TrainingSpec)
    counts = data.split_counts
    known = KnownDataset(
        data.name,
        schema_from_proto(data.schema),
        SplitCounts(counts.train, counts.validation, counts.test),
    )
    base, taught = (trained_network(each, store) for each in (parent, teacher))
    resolved = resolve_against_data(read_specification(message), known, base, taught)
    return write_specification(resolve_outliers(resolved, known, scan))


def trained_network(
    version: model_pb2.ModelVersion | None, store: ObjectStore | None
) -> TrainedNetwork | None:
    """Returns what a specification is checked against of a model version."""
    if version is None or store is None:
        return None
    preprocessing = read_preprocessing(version, store)
    return TrainedNetwork(version.name, from_proto(version.network), preprocessing)


def scores_file(marked: npt.NDArray[np.bool_], probability: npt.NDArray[np.float32]) -> bytes:
    """Returns the scores of a scan as a Parquet file, as the outlier service writes it."""
    rank = np.empty(len(marked), np.int64)
    rank[np.argsort(-probability, kind="stable")] = np.arange(1, len(marked) + 1)
    table = pa.table(
        {
            "score": probability.astype(np.float64),
            "probability": probability,
            "p_value": 1 - probability,
            "rank": rank,
            "marked": marked,
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def split_parts(rows: int, validation: float = 0.2, test: float = 0.0) -> npt.NDArray[np.uint8]:
    """Returns the parts of a random split."""
    order = np.random.default_rng(0).permutation(rows)
    parts = np.zeros(rows, np.uint8)
    held_out = round(rows * validation)
    parts[order[:held_out]] = 1
    parts[order[held_out : held_out + round(rows * test)]] = 2
    return parts

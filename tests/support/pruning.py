"""A data set and models of it in a store in memory, for tests of the pruner."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema, Task
from common.models.estimators.blending import BlendedClassifier, BlendGroup
from common.models.packaging import packaged, store_package
from common.records import RecordStore
from common.runs.owner import RunOwner
from common.runs.publishing import settle_request
from common.scoring.kinds import ProblemKind
from services.pruner.kind import PRUNING_RUNS

DATA, MODEL = "datasets/d/versions/1", "models/m/versions/1"
ROWS, VALIDATION, TEST = 900, 200, 300
NAMES = ("a", "b", "c", "noise")


@dataclass
class FakeCatalog:
    """Knows one data set version and one model version."""

    store: MemoryStore
    data: dataset_pb2.DatasetVersion
    model: model_pb2.ModelVersion
    registered: list[model_pb2.ModelVersion] = field(default_factory=list)

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns the data set version."""
        assert name == DATA
        return self.data

    async def model_version(self, name: str) -> model_pb2.ModelVersion:
        """Returns the model version."""
        assert name == MODEL
        return self.model

    async def register(
        self, owner: RunOwner[pruner_pb2.PruningRun], model: str, version: model_pb2.ModelVersion
    ) -> model_pb2.ModelVersion:
        """Registers what was settled first, unless the run was cancelled."""
        owner.check_cancelled()
        made = settle_request(self.store, owner.run, model, version).model_version
        made.name = f"{model}/versions/2"
        self.registered.append(made)
        return made

    def ask(self, question: Callable[["FakeCatalog"], Awaitable[Any]]) -> Any:
        """Stands in for `ask_catalog`."""

        async def answer() -> Any:
            return await question(self)

        return asyncio.run(answer())


def table() -> tuple[pd.DataFrame, npt.NDArray[np.str_]]:
    """Returns features and the class, which two of them tell."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({name: generator.normal(size=ROWS) for name in NAMES})
    chance = generator.normal(scale=0.3, size=ROWS)
    return frame, np.where(frame["a"] + frame["b"] ** 2 + chance > 0.5, "yes", "no")


def parts() -> npt.NDArray[np.int8]:
    """Returns the part of the split of each row."""
    split = np.zeros(ROWS, np.int8)
    split[-TEST:], split[-TEST - VALIDATION : -TEST] = 2, 1
    return split


def forest(trees: int = 60) -> Any:
    """Returns a pipeline with a forest, fitted on the training rows."""
    frame, truth = table()
    learned = parts() == 0
    model = make_pipeline(StandardScaler(), RandomForestClassifier(trees, random_state=0))
    return model.fit(frame[learned], truth[learned])


def blend(members: int = 8) -> BlendedClassifier:
    """Returns a blend of forests, as searches make them."""
    frame, truth = table()
    learned = np.flatnonzero(parts() == 0)
    generator = np.random.default_rng(1)
    groups = []
    for member in range(members):
        rows = generator.choice(learned, 200)
        small = RandomForestClassifier(10, random_state=member)
        small.fit(frame.iloc[rows], (truth[rows] == "yes").astype(int))
        groups.append(BlendGroup([small], 1.0 / members))
    return BlendedClassifier.of(groups, NAMES, ["no", "yes"])


def catalog_with(estimator: Any, **more: Any) -> FakeCatalog:
    """Returns a catalog that knows the data and a model."""
    store = MemoryStore()
    frame, truth = table()
    data = {**{name: pa.array(frame[name]) for name in NAMES}, "y": pa.array(truth)}
    shard = dataset_pb2.Shard(row_count=ROWS)
    for part, columns in ((shard.data, data), (shard.split, {"split": pa.array(parts())})):
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        key = f"shards/{len(columns)}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "application/octet-stream"))
    schema = Schema(
        (
            *(Column(name, ColumnType.NUMERIC) for name in NAMES),
            Column("y", ColumnType.CATEGORICAL, categories=("no", "yes")),
        ),
        Task.CLASSIFICATION,
        "y",
        targets=("y",),
    )
    version = dataset_pb2.DatasetVersion(
        name=DATA, row_count=ROWS, schema=schema_to_proto(schema), shards=[shard]
    )
    version.split_counts.train = ROWS - VALIDATION - TEST
    version.split_counts.validation, version.split_counts.test = VALIDATION, TEST
    package = packaged(estimator, frame)
    model = store_package(store, "models/m/1/", package, ProblemKind.BINARY)
    model.name = MODEL
    model.lineage.inputs.append(DATA)
    for name, value in more.items():
        setattr(model, name, value)
    return FakeCatalog(store, version, model)


def create_run(store: MemoryStore, spec: pruner_pb2.PruningSpec, name: str) -> None:
    """Adds a pruning to the store, as the service does."""
    run = pruner_pb2.PruningRun(name=name, spec=spec)
    run.status.state = run_pb2.RUN_STATE_PENDING
    run.status.create_time.GetCurrentTime()
    RecordStore(store).create(run)


def owner_of(store: MemoryStore, name: str) -> RunOwner[pruner_pb2.PruningRun]:
    """Returns an attempt at a pruning."""
    return RunOwner.acquire(PRUNING_RUNS, name, store)

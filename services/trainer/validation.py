"""Checks a training run against the data it names, before the run is created."""

import asyncio

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.trainer.v1 import trainer_pb2
from common import names
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.schema import SplitCounts
from common.models.store import read_preprocessing
from common.networks import specification as networks
from services.trainer.domain.estimate import Estimate, estimate
from services.trainer.domain.resolution import Parent, TrainingData, resolve_against_data
from services.trainer.domain.specification import (
    FIELD,
    read_specification,
    write_specification,
)


class Validator:
    """Resolves specifications with what the catalog knows.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of the catalog's models.
        store: Where a parent model's preprocessing lies.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        store: ObjectStore,
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._store = store

    async def resolve(self, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
        """Returns a run with the resolved specification and its estimate.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            NotFoundError: The data set version or the parent does not exist.
        """
        specification = read_specification(spec)
        names.DatasetVersionName.from_name(
            specification.dataset_version, f"{FIELD}.dataset_version"
        )
        names.ModelName.from_name(specification.model, f"{FIELD}.model")
        parent = await self._parent(specification.parent_model_version)
        data = await self._data(specification.dataset_version)
        resolved = resolve_against_data(specification, data, parent)
        return trainer_pb2.TrainingRun(
            spec=write_specification(resolved),
            estimate=_estimate_message(estimate(resolved, data.counts)),
        )

    async def _data(self, name: str) -> TrainingData:
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        version = await self._datasets.GetDatasetVersion(request)
        counts = version.split_counts
        return TrainingData(
            version.name,
            schema_from_proto(version.schema),
            SplitCounts(counts.train, counts.validation, counts.test),
        )

    async def _parent(self, name: str) -> Parent | None:
        if not name:
            return None
        names.ModelVersionName.from_name(name, f"{FIELD}.parent_model_version")
        version = await self._models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))
        preprocessing = await asyncio.to_thread(read_preprocessing, version, self._store)
        return Parent(version.name, networks.from_proto(version.network), preprocessing)


def _estimate_message(needs: Estimate) -> trainer_pb2.Estimate:
    message = trainer_pb2.Estimate(
        worker_memory_bytes=needs.worker_memory_bytes, slots=needs.slots, steps=needs.steps
    )
    message.duration.FromNanoseconds(round(needs.seconds * 1e9))
    return message

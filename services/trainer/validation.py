"""Checks a training run against the data it names, before the run is created."""

import asyncio

import grpc

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common import names
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.schema import KnownDataset, SplitCounts
from common.errors import UnavailableError
from common.models.store import read_preprocessing
from common.networks import specification as networks
from common.protobuf import enum_short_name, to_plain
from services.trainer.domain.estimate import Estimate, estimate
from services.trainer.domain.outliers.resolution import Scan, resolve_outliers, unknown_scan
from services.trainer.domain.resolution import Parent, resolve_against_data
from services.trainer.domain.specification import (
    FIELD,
    OutlierTreatment,
    ScoresReference,
    read_specification,
    write_specification,
)

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Validator:
    """Resolves specifications with what the catalog and the outlier service know.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of the catalog's models.
        scans: Stub of the outlier service.
        store: Where a parent model's preprocessing lies.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        scans: "outlier_pb2_grpc.OutlierServiceAsyncStub",
        store: ObjectStore,
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._scans = scans
        self._store = store

    async def resolve(self, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
        """Returns a run with the resolved specification and its estimate.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            UnavailableError: The outlier service is away, and the specification names a scan.
            NotFoundError: The data set version or the parent does not exist.
        """
        specification = read_specification(spec)
        names.DatasetVersionName.from_name(
            specification.dataset_version, f"{FIELD}.dataset_version"
        )
        names.ModelName.from_name(specification.model, f"{FIELD}.model")
        parent = await self._parent(specification.parent_model_version)
        data = await self._data(specification.dataset_version)
        scan = await self._scan(specification.outliers)
        resolved = resolve_against_data(specification, data, parent)
        resolved = resolve_outliers(resolved, data, scan)
        return trainer_pb2.TrainingRun(
            spec=write_specification(resolved),
            estimate=_estimate_message(estimate(resolved, data.counts)),
        )

    async def _data(self, name: str) -> KnownDataset:
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        version = await self._datasets.GetDatasetVersion(request)
        counts = version.split_counts
        return KnownDataset(
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

    async def _scan(self, outliers: OutlierTreatment | None) -> Scan | None:
        if outliers is None:
            return None
        name = names.OutlierScanName.from_name(outliers.scan, f"{FIELD}.outliers.scan").name
        try:
            found = await self._scans.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))
        except grpc.aio.AioRpcError as error:
            raise _scan_error(error, outliers) from None
        return _scan(found)


def _scan(found: outlier_pb2.OutlierScan) -> Scan:
    state = enum_short_name(run_pb2.RunState.DESCRIPTOR, found.status.state)
    scores = None
    if found.HasField("scores"):
        scores = ScoresReference.model_validate(to_plain(found.scores))
    return Scan(found.name, found.spec.dataset_version, state, scores)


def _scan_error(error: grpc.aio.AioRpcError, outliers: OutlierTreatment) -> Exception:
    if error.code() is grpc.StatusCode.NOT_FOUND:
        return unknown_scan(outliers)
    if error.code() in _AWAY:
        return UnavailableError(
            f"The outlier service, which knows {outliers.scan}, cannot be reached now; try again, "
            "or train without `outliers`."
        )
    return error


def _estimate_message(needs: Estimate) -> trainer_pb2.Estimate:
    message = trainer_pb2.Estimate(
        worker_memory_bytes=needs.worker_memory_bytes,
        slots=needs.slots,
        steps=needs.steps,
        proof_steps=needs.proof_steps,
    )
    message.duration.FromNanoseconds(round(needs.seconds * 1e9))
    return message

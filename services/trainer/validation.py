"""Checks a training run against the data it names, before the run is created."""

import asyncio
from collections.abc import Iterable

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.trainer.v1 import trainer_pb2
from common import names
from common.artifacts.blobs import artifact_key
from common.artifacts.protocol import ObjectMissingError, ObjectStore
from common.artifacts.reference import ArtifactReference
from common.calls.scans import get_scan
from common.data.messages import schema_from_proto
from common.data.scans import Scan
from common.data.schema import KnownDataset, SplitCounts
from common.errors import FailedPreconditionError, InvalidFieldError
from common.models.store import read_preprocessing
from common.networks import specification as networks
from services.trainer.domain.calibration import calibration
from services.trainer.domain.estimate import Estimate, estimate
from services.trainer.domain.origins import PARENT, TEACHER, TrainedNetwork
from services.trainer.domain.outliers.resolution import resolve_outliers
from services.trainer.domain.own_code import keep_files
from services.trainer.domain.resolution import example_counts, resolve_against_data
from services.trainer.domain.specification import (
    FIELD,
    OutlierTreatment,
    TrainingSpecification,
    read_specification,
    write_specification,
)


class Validator:
    """Resolves specifications with what the catalog and the outlier service know.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of the catalog's models.
        scans: Stub of the outlier service.
        store: Where the preprocessing of models lies, and files that a specification names.
        permits_own_code: Whether workers may run code of those who create runs.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        scans: "outlier_pb2_grpc.OutlierServiceAsyncStub",
        store: ObjectStore,
        *,
        permits_own_code: bool = False,
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._scans = scans
        self._store = store
        self._permits_own_code = permits_own_code

    async def resolve(
        self,
        spec: trainer_pb2.TrainingSpec,
        earlier: Iterable[trainer_pb2.TrainingRun] = (),
    ) -> trainer_pb2.TrainingRun:
        """Returns a run with the resolved specification and its estimate.

        Args:
            spec: What the caller asks for.
            earlier: Runs that have succeeded, newest first; the estimate learns from them.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            UnavailableError: The outlier service is away, and the specification names a scan.
            NotFoundError: The data set version, the parent or the teacher does not exist.
        FailedPreconditionError: It brings code of its own, which is not permitted.
        """
        specification = await self._with_kept_code(read_specification(spec))
        names.DatasetVersionName.from_name(
            specification.dataset_version, f"{FIELD}.dataset_version"
        )
        names.ModelName.from_name(specification.model, f"{FIELD}.model")
        distillation = specification.distillation
        named = distillation.teacher_model_version if distillation is not None else ""
        parent = await self._trained(specification.parent_model_version, PARENT)
        teacher = await self._trained(named, TEACHER)
        await asyncio.to_thread(self._check_files, specification)
        data = await self._data(specification.dataset_version)
        scan = await self._scan(specification.outliers)
        resolved = resolve_against_data(specification, data, parent, teacher)
        resolved = resolve_outliers(resolved, data, scan)
        taught = teacher.network if teacher is not None else None
        written = write_specification(resolved)
        factor = calibration(written, earlier)
        needs = estimate(resolved, example_counts(resolved, data), taught, factor)
        return trainer_pb2.TrainingRun(spec=written, estimate=_estimate_message(needs))

    async def _data(self, name: str) -> KnownDataset:
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        version = await self._datasets.GetDatasetVersion(request)
        counts = version.split_counts
        return KnownDataset(
            version.name,
            schema_from_proto(version.schema),
            SplitCounts(counts.train, counts.validation, counts.test),
        )

    async def _trained(self, name: str, field: str) -> TrainedNetwork | None:
        if not name:
            return None
        path = f"{FIELD}.{field}"
        names.ModelVersionName.from_name(name, path)
        version = await self._models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))
        try:
            preprocessing = await asyncio.to_thread(read_preprocessing, version, self._store)
        except FailedPreconditionError as error:
            raise InvalidFieldError(
                path, f"Is no network of the trainer: {error.message}", reason="NO_NETWORK"
            ) from None
        return TrainedNetwork(version.name, networks.from_proto(version.network), preprocessing)

    async def _with_kept_code(self, specification: TrainingSpecification) -> TrainingSpecification:
        """Returns the specification with the files of its code stored."""
        if specification.code is None:
            return specification
        if not self._permits_own_code:
            raise FailedPreconditionError(
                "Workers run no code of your own here; the operator permits it by "
                "AIMASS_TRAINER_OWN_CODE=true in the environment of the trainer.",
                reason="OWN_CODE_NOT_PERMITTED",
            )
        kept = await asyncio.to_thread(keep_files, specification.code, self._store)
        return specification.model_copy(update={"code": kept})

    def _check_files(self, specification: TrainingSpecification) -> None:
        """Checks that files are there; what they hold is seen before the first step."""
        files = {"starting_weights": specification.starting_weights}
        if specification.code is not None:
            files["code.archive"] = specification.code.archive
        if specification.growing_decay is not None:
            files["growing_decay.strengths"] = specification.growing_decay.strengths
        for name, file in files.items():
            if file is not None:
                self._check_file(file, f"{FIELD}.{name}")

    def _check_file(self, file: ArtifactReference, field: str) -> None:
        key = artifact_key(self._store, file.artifact, f"{field}.uri")
        try:
            found = self._store.stat(key)
        except ObjectMissingError:
            raise InvalidFieldError(
                f"{field}.uri", f"There is no {file.uri}; store it first.", reason="NO_SUCH_FILE"
            ) from None
        if found.size != file.size_bytes:
            raise InvalidFieldError(
                f"{field}.size_bytes",
                f"{file.uri} has {found.size} bytes, not {file.size_bytes}; give the reference "
                "that it was stored with.",
                reason="OTHER_FILE",
            )

    async def _scan(self, outliers: OutlierTreatment | None) -> Scan | None:
        if outliers is None:
            return None
        return await get_scan(self._scans, outliers.scan, f"{FIELD}.outliers.scan")


def _estimate_message(needs: Estimate) -> trainer_pb2.Estimate:
    message = trainer_pb2.Estimate(
        worker_memory_bytes=needs.worker_memory_bytes,
        slots=needs.slots,
        steps=needs.steps,
        proof_steps=needs.proof_steps,
        calibration=needs.calibration,
    )
    message.duration.FromNanoseconds(round(needs.seconds * 1e9))
    return message

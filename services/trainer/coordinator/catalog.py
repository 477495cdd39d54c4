"""What the coordinator asks of the catalog. A catalog that is away is waited for."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.artifacts.protocol import ObjectChangedError, ObjectStore
from common.errors import FailedPreconditionError, UnavailableError
from common.runs.kind import run_prefix

_PATIENCE_SECONDS = 300.0
_RETRY_SECONDS = 0.2
# All calls here may be repeated: reads, and a write with a request id.
_PASSING = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)
_Answer = TypeVar("_Answer")


class Catalog:
    """The catalog's RPCs that a run needs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Wraps a channel.

        Args:
            channel: To the catalog.
        """
        self._datasets = dataset_pb2_grpc.DatasetServiceStub(channel)
        self._models = model_pb2_grpc.ModelServiceStub(channel)

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns a data set version. Raises `FailedPreconditionError` where it is gone."""
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        return await _patiently(lambda: self._datasets.GetDatasetVersion(request))

    async def model_version(self, name: str) -> model_pb2.ModelVersion:
        """Returns a model version. Raises `FailedPreconditionError` where it is gone."""
        request = model_pb2.GetModelVersionRequest(name=name)
        return await _patiently(lambda: self._models.GetModelVersion(request))

    async def create_model_version(
        self, request: model_pb2.CreateModelVersionRequest
    ) -> model_pb2.ModelVersion:
        """Registers a model version. Raises `FailedPreconditionError` where it is refused."""
        return await _patiently(lambda: self._models.CreateModelVersion(request))


async def _patiently(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _PASSING:
                raise FailedPreconditionError(
                    f"The catalog refuses: {error.details()}", reason="CATALOG_REFUSES"
                ) from None
            if time.monotonic() > deadline:
                raise UnavailableError("The catalog cannot be reached.") from None
        await asyncio.sleep(_RETRY_SECONDS)


def settle_request(
    store: ObjectStore, run: trainer_pb2.TrainingRun, package: agents_pb2.PackagePublished
) -> model_pb2.CreateModelVersionRequest:
    """Returns the request that registers the run's model: the same one for every attempt.

    An attempt that dies between registering and publishing is followed by one with a package of
    its own. Only the first request ever stored is sent, so that a run makes one version.

    Args:
        store: The object store.
        run: The run.
        package: The package of this attempt.
    """
    version = json_format.Parse(package.model_version, model_pb2.ModelVersion())
    mine = model_pb2.CreateModelVersionRequest(
        parent=run.spec.model, model_version=version, request_id=_request_id(run)
    )
    key = f"{run_prefix(run.name)}model-version-request.json"
    try:
        store.create(key, json_format.MessageToJson(mine).encode())
    except ObjectChangedError:
        data, _ = store.read(key)
        return json_format.Parse(data, model_pb2.CreateModelVersionRequest())
    return mine


def _request_id(run: trainer_pb2.TrainingRun) -> str:
    """Returns a UUID that belongs to this run: one made later under its name has another."""
    text = f"{run.name} {run.status.create_time.ToNanoseconds()}"
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))

"""Drives a catalog of real processes in tests."""

import hashlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from aimass.catalog.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    lineage_pb2_grpc,
    model_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts import ObjectStore
from common.testing.minio import MinioServer
from common.testing.server import channel_to, running_server
from services.catalog.app import app

CHUNK = 256 * 1024
D = TypeVar("D", bound=Message)


@dataclass
class Catalog:
    """A running catalog with its stubs, its store, and the shorthands of these tests.

    Attributes:
        scratch: Where its imports keep their files.
    """

    address: str
    store: ObjectStore
    scratch: Path
    datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub"
    models: "model_pb2_grpc.ModelServiceAsyncStub"
    transfers: "transfer_pb2_grpc.TransferServiceAsyncStub"
    lineage: "lineage_pb2_grpc.LineageServiceAsyncStub"

    async def upload(self, content: bytes, filename: str) -> str:
        """Uploads bytes under a fresh name."""
        header = transfer_pb2.UploadHeader(
            name=f"uploads/test-{uuid.uuid4().hex}",
            total_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            filename=filename,
        )
        upload = await self.transfers.WriteUpload(messages(header, content))
        assert upload.complete
        return upload.name

    async def create(
        self, content: bytes, filename: str, dataset: str, **spec: object
    ) -> dataset_pb2.DatasetImport:
        """Uploads bytes and starts their import."""
        full = dataset_pb2.DatasetImportSpec(
            dataset=dataset,
            upload=await self.upload(content, filename),
            **spec,  # type: ignore[arg-type]
        )
        return await self.datasets.CreateDatasetImport(
            dataset_pb2.CreateDatasetImportRequest(
                dataset_import=dataset_pb2.DatasetImport(spec=full)
            )
        )

    async def follow(self, name: str) -> list[event_pb2.Event]:
        """Returns all events of an import once it has ended."""
        call = self.datasets.WatchDatasetImport(dataset_pb2.WatchDatasetImportRequest(name=name))
        return [event async for event in call if not event.HasField("heartbeat")]

    async def wait_for_stage(self, name: str, stage: str) -> None:
        """Returns once an import has told that it is at a stage."""
        call = self.datasets.WatchDatasetImport(dataset_pb2.WatchDatasetImportRequest(name=name))
        async for event in call:
            assert not event.HasField("state_change") or event.state_change.state in (
                run_pb2.RUN_STATE_PENDING,
                run_pb2.RUN_STATE_RUNNING,
            )
            if event.progress.stage == stage:
                call.cancel()
                return

    async def run(
        self, content: bytes, filename: str, dataset: str, **spec: object
    ) -> dataset_pb2.DatasetImport:
        """Uploads and imports bytes; returns the import as it ended."""
        created = await self.create(content, filename, dataset, **spec)
        await self.follow(created.name)
        return await self.datasets.GetDatasetImport(
            dataset_pb2.GetDatasetImportRequest(name=created.name)
        )

    async def version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns a data set version."""
        return await self.datasets.GetDatasetVersion(
            dataset_pb2.GetDatasetVersionRequest(name=name)
        )


@asynccontextmanager
async def running_catalog(minio: MinioServer) -> AsyncIterator[Catalog]:
    """Runs a catalog with real job processes on a bucket of its own."""
    store = minio.new_store()
    with tempfile.TemporaryDirectory(prefix="aimass-scratch-") as scratch:
        environment = {
            "AIMASS_S3_ENDPOINT": minio.settings.endpoint,
            "AIMASS_S3_ACCESS_KEY": minio.settings.access_key,
            "AIMASS_S3_SECRET_KEY": minio.settings.secret_key,
            "AIMASS_S3_BUCKET": store.bucket,
            "AIMASS_LEASE_TTL_SECONDS": "3",
            "AIMASS_IMPORT_SCRATCH_DIR": scratch,
        }
        with patch.dict(os.environ, environment):
            async with (
                app() as services,
                running_server(services) as address,
                channel_to(address) as channel,
            ):
                yield Catalog(
                    address,
                    store,
                    Path(scratch),
                    dataset_pb2_grpc.DatasetServiceStub(channel),
                    model_pb2_grpc.ModelServiceStub(channel),
                    transfer_pb2_grpc.TransferServiceStub(channel),
                    lineage_pb2_grpc.LineageServiceStub(channel),
                )


def messages(
    header: transfer_pb2.UploadHeader, content: bytes
) -> Iterator[transfer_pb2.WriteUploadRequest]:
    """Yields the messages of an upload, from the header's offset on."""
    yield transfer_pb2.WriteUploadRequest(header=header)
    for start in range(header.offset, len(content), CHUNK):
        yield transfer_pb2.WriteUploadRequest(chunk=content[start : start + CHUNK])


def reason_of(status: status_pb2.Status) -> str:
    """Returns the reason that a status carries."""
    return str(_detail(status, error_details_pb2.ErrorInfo()).reason)


def field_of(status: status_pb2.Status) -> str:
    """Returns the first field that a status names."""
    violations = _detail(status, error_details_pb2.BadRequest()).field_violations
    return violations[0].field if violations else ""


def status_of_error(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Returns the status with details of a failed call."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    return status


def _detail(status: status_pb2.Status, detail: D) -> D:
    for packed in status.details:
        if packed.Unpack(detail):
            break
    return detail

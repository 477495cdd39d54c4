"""Composition root of the catalog: the one place that wires its parts together."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from aimass.catalog.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    lineage_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    transfer_pb2_grpc,
)
from common.artifacts import ObjectStore
from common.artifacts.settings import StoreSettings
from common.artifacts.urls import presigned_url
from common.errors import UnavailableError
from common.host.helper import HelperProcess
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from services.catalog.buckets import import_objects
from services.catalog.config import CatalogSettings, ImportSettings
from services.catalog.domain.models import Models
from services.catalog.domain.uploads import UnusedUploads, Uploads
from services.catalog.domain.versions import Versions
from services.catalog.kind import DATASET_IMPORTS, DATASETS, MODEL_IMPORTS
from services.catalog.lineage_servicer import LineageServicer
from services.catalog.model_servicer import ModelServicer
from services.catalog.servicer import DatasetServicer, TransferServicer

_JOB_COMMAND = (sys.executable, "-m", "services.catalog.job")
_MODEL_JOB_COMMAND = (sys.executable, "-m", "services.catalog.model_job")
_HELPER_COMMAND = (sys.executable, "-m", "services.catalog.helper")


@asynccontextmanager
async def catalog(
    settings: CatalogSettings, store: ObjectStore, job_command: Sequence[str] = _JOB_COMMAND
) -> AsyncIterator[Sequence[Service]]:
    """Builds the catalog, and takes it down at the end; running imports live on.

    Args:
        settings: Its settings.
        store: The suite's store.
        job_command: Starts an import's process.

    Yields:
        The services to serve.
    """
    records = RecordStore(store)
    uploads = Uploads(store, records)
    versions = Versions(store, records, DATASETS)
    models = Models(store, records)
    objects = import_objects(store, ImportSettings())
    sign = partial(presigned_url, StoreSettings())
    sweeps = _sweeps(settings, store, records, uploads)
    async with (
        _warming(records),
        sweeps.each_hour(),
        HelperProcess(_HELPER_COMMAND) as reader,
        hosted_runs(DATASET_IMPORTS, store, records, job_command, settings.import_limit) as imports,
        hosted_runs(MODEL_IMPORTS, store, records, _MODEL_JOB_COMMAND, 1) as model_imports,
    ):
        services = _services(
            DatasetServicer(imports, uploads, versions, records, reader, objects),
            ModelServicer(store, records, models, versions, uploads, model_imports),
            LineageServicer(records, models, versions),
            TransferServicer(store, uploads, sign),
        )
        yield [*services, maintenance_service(sweeps)]


def _services(
    datasets: DatasetServicer,
    models: ModelServicer,
    lineage: LineageServicer,
    transfers: TransferServicer,
) -> list[Service]:
    return [
        Service(
            "aimass.catalog.v1.DatasetService",
            partial(dataset_pb2_grpc.add_DatasetServiceServicer_to_server, datasets),
        ),
        Service(
            "aimass.catalog.v1.ModelService",
            partial(model_pb2_grpc.add_ModelServiceServicer_to_server, models),
        ),
        Service(
            "aimass.catalog.v1.LineageService",
            partial(lineage_pb2_grpc.add_LineageServiceServicer_to_server, lineage),
        ),
        Service(
            "aimass.catalog.v1.TransferService",
            partial(transfer_pb2_grpc.add_TransferServiceServicer_to_server, transfers),
        ),
    ]


def _sweeps(
    settings: CatalogSettings, store: ObjectStore, records: RecordStore, uploads: Uploads
) -> Sweeps:
    keep = SweepSettings().attempt_keep
    return Sweeps(
        store,
        "catalog",
        [
            UnusedUploads(uploads, timedelta(hours=settings.upload_keep_hours)),
            RunLeftovers(DATASET_IMPORTS, store, records, keep),
            RunLeftovers(MODEL_IMPORTS, store, records, keep),
        ],
    )


@asynccontextmanager
async def _warming(records: RecordStore) -> AsyncIterator[None]:
    """Reads long lists ahead, so that the first caller need not wait for that."""
    task = asyncio.create_task(_warm(records))
    try:
        yield
    finally:
        task.cancel()


async def _warm(records: RecordStore) -> None:
    with contextlib.suppress(UnavailableError):
        await asyncio.to_thread(records.warm, "models", model_pb2.Model)
        await asyncio.to_thread(records.warm, "datasets", dataset_pb2.Dataset)

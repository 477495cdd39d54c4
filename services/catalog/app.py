"""Composition root of the catalog: the one place that wires things together."""

import asyncio
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
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.artifacts.urls import presigned_url
from common.host.helper import HelperProcess
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from common.serving.warming import warmed
from services.catalog.buckets import import_objects
from services.catalog.config import CatalogSettings, ImportSettings
from services.catalog.domain.models import Models
from services.catalog.domain.uploads import UnusedUploads, Uploads
from services.catalog.domain.versions import Versions
from services.catalog.kind import DATASET_IMPORTS, DATASETS, MODEL_IMPORTS
from services.catalog.lineage_servicer import LineageServicer
from services.catalog.model_servicer import ModelServicer
from services.catalog.servicer import DatasetServicer
from services.catalog.transfer_servicer import TransferServicer

_JOB = (sys.executable, "-m", "services.catalog.job")
_MODEL_JOB = (sys.executable, "-m", "services.catalog.model_job")
_READER = (sys.executable, "-m", "services.catalog.reader")


@asynccontextmanager
async def app(job: Sequence[str] = _JOB) -> AsyncIterator[Sequence[Service]]:
    """Opens what the catalog needs, and closes it afterwards; running imports live on.

    Args:
        job: Starts an import's process.

    Yields:
        The services to serve.
    """
    settings = CatalogSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    uploads = Uploads(store, records)
    versions = Versions(store, records, DATASETS)
    models = Models(store, records)
    objects = import_objects(store, ImportSettings())
    sign = partial(presigned_url, StoreSettings())
    sweeps = _sweeps(settings, store, records, uploads)
    async with (
        warmed(partial(_read_lists, records)),
        sweeps.each_hour(),
        HelperProcess(_READER) as reader,
        hosted_runs(DATASET_IMPORTS, store, records, job, settings.import_limit) as imports,
        hosted_runs(MODEL_IMPORTS, store, records, _MODEL_JOB, 1) as model_imports,
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


async def _read_lists(records: RecordStore) -> None:
    """Reads the lists that grow long."""
    await asyncio.to_thread(records.warm, "models", model_pb2.Model)
    await asyncio.to_thread(records.warm, "datasets", dataset_pb2.Dataset)

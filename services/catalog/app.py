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
from common.helper import HelperProcess
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.executor import LocalExecutor
from common.runs.leftovers import RunLeftovers
from common.runs.service import RunService
from common.runs.tail import Tails
from common.server import Service
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
    tails = Tails(DATASET_IMPORTS, store, records)
    executor = LocalExecutor(
        DATASET_IMPORTS,
        store,
        records,
        job_command,
        limit=settings.import_limit,
        changed=tails.poke,
    )
    imports = RunService(DATASET_IMPORTS, records, tails, executor)
    objects = import_objects(store, ImportSettings())
    versions = Versions(store, records, DATASETS)
    reader = HelperProcess(_HELPER_COMMAND)
    datasets = DatasetServicer(imports, uploads, versions, records, reader, objects)
    model_tails = Tails(MODEL_IMPORTS, store, records)
    model_executor = LocalExecutor(
        MODEL_IMPORTS,
        store,
        records,
        _MODEL_JOB_COMMAND,
        limit=1,
        changed=model_tails.poke,
    )
    model_imports = RunService(MODEL_IMPORTS, records, model_tails, model_executor)
    lines = Models(store, records)
    models = ModelServicer(store, records, lines, versions, uploads, model_imports)
    lineage = LineageServicer(records, lines, versions)
    transfers = TransferServicer(store, uploads, partial(presigned_url, StoreSettings()))
    sweeps = Sweeps(
        store,
        "catalog",
        [
            UnusedUploads(uploads, timedelta(hours=settings.upload_keep_hours)),
            RunLeftovers(DATASET_IMPORTS, store, records, SweepSettings().attempt_keep),
            RunLeftovers(MODEL_IMPORTS, store, records, SweepSettings().attempt_keep),
        ],
    )
    sweeper = asyncio.create_task(sweeps.run())
    warming = asyncio.create_task(_warm(records))
    await executor.start()
    await model_executor.start()
    try:
        yield [
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
            maintenance_service(sweeps),
        ]
    finally:
        warming.cancel()
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper
        await reader.close()
        await executor.stop()
        await tails.close()
        await model_executor.stop()
        await model_tails.close()


async def _warm(records: RecordStore) -> None:
    """Reads long lists ahead, so that the first caller need not wait for that."""
    with contextlib.suppress(UnavailableError):
        await asyncio.to_thread(records.warm, "models", model_pb2.Model)
        await asyncio.to_thread(records.warm, "datasets", dataset_pb2.Dataset)

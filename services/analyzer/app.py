"""Composition root of the analyzer: the one place that wires things together."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aimass.analyzer.v1 import analyzer_pb2_grpc, resolver_pb2
from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.config import ClientSettings
from common.host.helper import HelperProcess
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from common.serving.warming import warmed
from services.analyzer.config import AnalyzerSettings
from services.analyzer.kind import ANALYSES
from services.analyzer.servicer import AnalyzerServicer
from services.analyzer.validation import Validator

# Threads that wait in a loop take the processors from others' threads: on a busy machine analyses
# took four times as long.
_PATIENT_THREADS = {"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "PASSIVE"}
_JOB = (sys.executable, "-m", "services.analyzer.job")
_RESOLVER = (sys.executable, "-m", "services.analyzer.resolver")


@asynccontextmanager
async def app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the analyzer needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    for name, value in _PATIENT_THREADS.items():
        os.environ.setdefault(name, value)  # of the processes that are started from here
    reach, settings = ClientSettings(), AnalyzerSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    leftovers = RunLeftovers(ANALYSES, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "analyzer", [leftovers])
    limit, spares = settings.analyzer_max_analyses, int(settings.analyzer_warm)
    async with (
        client.connect(reach.catalog_address, reach.token) as catalog,
        client.connect(reach.outlier_address, reach.token) as outlier,
        HelperProcess(_RESOLVER, settings.analyzer_check_seconds) as resolver,
        warmed(partial(_import_all, resolver), settings.analyzer_warm),
        sweeps.each_hour(),
        hosted_runs(ANALYSES, store, records, _JOB, limit, spares) as runs,
    ):
        validator = Validator(
            dataset_pb2_grpc.DatasetServiceStub(catalog),
            model_pb2_grpc.ModelServiceStub(catalog),
            outlier_pb2_grpc.OutlierServiceStub(outlier),
            resolver,
        )
        servicer = AnalyzerServicer(runs, validator, store)
        yield [
            Service(
                "aimass.analyzer.v1.AnalyzerService",
                partial(analyzer_pb2_grpc.add_AnalyzerServiceServicer_to_server, servicer),
            ),
            maintenance_service(sweeps),
        ]


async def _import_all(resolver: HelperProcess) -> None:
    """Starts the resolver, whose imports take their time."""
    await resolver.ask(resolver_pb2.ResolveAnalysis().SerializeToString())

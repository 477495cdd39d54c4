"""Composition root of the pruner: the one place that wires things together."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.pruner.v1 import pruner_pb2_grpc
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.config import ClientSettings
from common.host.single_threaded import SINGLE_THREADED
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.executor import ExecutorTimes
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from services.pruner.applying import Applying
from services.pruner.config import PrunerSettings
from services.pruner.kind import PRUNING_RUNS
from services.pruner.points import PointPages
from services.pruner.servicer import PrunerServicer
from services.pruner.validation import Validator

_JOB = (sys.executable, "-m", "services.pruner.job")
# A pruning that is cancelled publishes what it has measured by then.
_TIMES = ExecutorTimes(cancel_grace=30.0)


@asynccontextmanager
async def app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the pruner needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    # What is measured on one thread must not have others beside it.
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)  # of the processes that are started from here
    reach, settings = ClientSettings(), PrunerSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    leftovers = RunLeftovers(PRUNING_RUNS, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "pruner", [leftovers])
    limit, spares = settings.pruner_max_runs, int(settings.pruner_warm)
    async with (
        client.connect(reach.catalog_address, reach.token) as catalog,
        sweeps.each_hour(),
        hosted_runs(PRUNING_RUNS, store, records, _JOB, limit, spares, _TIMES) as runs,
    ):
        models = model_pb2_grpc.ModelServiceStub(catalog)
        validator = Validator(dataset_pb2_grpc.DatasetServiceStub(catalog), models)
        servicer = PrunerServicer(runs, validator, PointPages(store), Applying(store, models))
        yield [
            Service(
                "aimass.pruner.v1.PrunerService",
                partial(pruner_pb2_grpc.add_PrunerServiceServicer_to_server, servicer),
            ),
            maintenance_service(sweeps),
        ]

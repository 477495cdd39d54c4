"""Composition root of the trainer: the one place that wires things together."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.trainer.v1 import agents_pb2_grpc, trainer_pb2_grpc
from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.config import ClientSettings
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from services.trainer.config import TrainerSettings
from services.trainer.kind import TRAINING_RUNS
from services.trainer.pool.admission import PoolAdmission
from services.trainer.pool.holding import LeasedHolding
from services.trainer.pool.hub import PoolHub
from services.trainer.pool.injection import Injections
from services.trainer.pool.servicer import AgentPoolServicer
from services.trainer.servicer import TrainingServicer
from services.trainer.validation import Validator

JOB = [sys.executable, "-m", "services.trainer.job"]


@asynccontextmanager
async def app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the trainer needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    reach, settings = ClientSettings(), TrainerSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    leftovers = RunLeftovers(TRAINING_RUNS, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "trainer", [leftovers])
    limit = settings.trainer_max_runs
    async with (
        client.connect(reach.catalog_address, reach.token) as catalog,
        client.connect(reach.outlier_address, reach.token) as outlier,
        _pool(store, limit) as (hub, holding),
        sweeps.each_hour(),
        hosted_runs(
            TRAINING_RUNS, store, records, JOB, limit, admission=PoolAdmission(hub, holding)
        ) as runs,
    ):
        validator = Validator(
            dataset_pb2_grpc.DatasetServiceStub(catalog),
            model_pb2_grpc.ModelServiceStub(catalog),
            outlier_pb2_grpc.OutlierServiceStub(outlier),
            store,
            permits_own_code=settings.trainer_own_code,
        )
        injections = Injections(hub, holding, settings.trainer_fault_injection)
        training = TrainingServicer(runs, validator, hub, injections)
        agents = AgentPoolServicer(hub, holding, injections.hear)
        yield [
            Service(
                "aimass.trainer.v1.TrainingService",
                partial(trainer_pb2_grpc.add_TrainingServiceServicer_to_server, training),
            ),
            Service(
                "aimass.trainer.v1.AgentPoolService",
                partial(agents_pb2_grpc.add_AgentPoolServiceServicer_to_server, agents),
            ),
            maintenance_service(sweeps),
        ]


@asynccontextmanager
async def _pool(store: ObjectStore, most_runs: int) -> AsyncIterator[tuple[PoolHub, LeasedHolding]]:
    """Holds the pool of agents, or waits for it, until it is left."""
    holding = LeasedHolding(store)
    hub = PoolHub(most_runs)
    holding.start()
    task = asyncio.create_task(hub.run(holding))
    try:
        yield hub, holding
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(holding.stop)

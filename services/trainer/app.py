"""Composition root of the trainer: the one place that wires things together."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.trainer.v1 import agents_pb2_grpc, trainer_pb2_grpc
from common import client
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.config import ClientSettings
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.executor import LocalExecutor
from common.runs.leftovers import RunLeftovers
from common.runs.service import RunService
from common.runs.tail import Tails
from common.server import Service
from services.trainer.config import TrainerSettings
from services.trainer.kind import TRAINING_RUNS
from services.trainer.pool.holding import LeasedHolding
from services.trainer.pool.hub import PoolHub
from services.trainer.pool.servicer import AgentPoolServicer
from services.trainer.servicer import TrainingServicer
from services.trainer.validation import Validator

JOB = [sys.executable, "-m", "services.trainer.job"]


@asynccontextmanager
async def trainer_app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the trainer needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    reach = ClientSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    tails = Tails(TRAINING_RUNS, store, records)
    executor = LocalExecutor(
        TRAINING_RUNS,
        store,
        records,
        JOB,
        limit=TrainerSettings().trainer_max_runs,
        changed=tails.poke,
    )
    leftovers = RunLeftovers(TRAINING_RUNS, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "trainer", [leftovers])
    holding = LeasedHolding(store)
    hub = PoolHub()
    async with client.connect(reach.catalog_address, reach.token) as catalog:
        validator = Validator(
            dataset_pb2_grpc.DatasetServiceStub(catalog),
            model_pb2_grpc.ModelServiceStub(catalog),
            store,
        )
        runs = RunService(TRAINING_RUNS, records, tails, executor)
        training = TrainingServicer(runs, validator, hub)
        pool = AgentPoolServicer(hub, holding)
        holding.start()
        tasks = [asyncio.create_task(hub.run(holding)), asyncio.create_task(sweeps.run())]
        await executor.start()
        try:
            yield [
                Service(
                    "aimass.trainer.v1.TrainingService",
                    lambda server: trainer_pb2_grpc.add_TrainingServiceServicer_to_server(
                        training, server
                    ),
                ),
                Service(
                    "aimass.trainer.v1.AgentPoolService",
                    lambda server: agents_pb2_grpc.add_AgentPoolServiceServicer_to_server(
                        pool, server
                    ),
                ),
                maintenance_service(sweeps),
            ]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await executor.stop()
            await tails.close()
            await asyncio.to_thread(holding.stop)

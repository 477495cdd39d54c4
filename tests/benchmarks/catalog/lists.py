"""Lists of thousands of resources, and calls while a thousand runs wait.

Part of `make bench NAME=catalog`; alone it is `python -m tests.benchmarks.catalog.lists`.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from aimass.catalog.v1 import dataset_pb2, model_pb2, model_pb2_grpc
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.records import RecordStore
from common.testing.minio import MinioServer
from common.testing.server import channel_to, running_server
from services.catalog.app import catalog
from services.catalog.config import CatalogSettings
from tests.benchmarks.harness import Aim, Measure, publish, repeats

NOTES = (
    "Lists: 10,000 models made beforehand; the service is started anew, and the first page is "
    "asked for as soon as it has warmed up, the others after that, with filter and order.",
    "Waiting runs: 1,000 imports in the queue of an executor whose two jobs are busy.",
)
_MODELS = 10_000
_RUNS = 1_000
_PAGE = Aim(at_most=0.3)
_UNARY = Aim(at_most=0.05)
_QUERY = model_pb2.ListModelsRequest(filter="latest_version>3", order_by="name desc")
# A job that is told its run, and does nothing for longer than this takes.
_IDLE = (sys.executable, "-c", "import sys, time; sys.stdin.readline() and time.sleep(20)")


def measures() -> list[Measure]:
    """Measures everything. Takes about two minutes."""
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as name:
        server = MinioServer(Path(name) / "minio")
        server.start()
        try:
            return asyncio.run(_lists(server.new_store())) + asyncio.run(_queue(server.new_store()))
        finally:
            server.stop()


async def _lists(store: ObjectStore) -> list[Measure]:
    await asyncio.to_thread(_fill, repeats(_MODELS, 300), lambda number: _model(store, number))
    # What a service that ran before has left: the snapshot of its index.
    await asyncio.to_thread(RecordStore(store).warm, "models", model_pb2.Model)

    async def ask(models: "model_pb2_grpc.ModelServiceAsyncStub") -> list[float]:
        began = time.monotonic()
        await models.ListModels(_QUERY)
        first = time.monotonic() - began
        return [first, median([await _timed(models) for _ in range(20)])]

    first, later = await _served(store, ask)
    return [
        Measure.of("first page of 10,000 models right after the start (s)", first),
        Measure.of("page of 10,000 models, filtered and ordered (s)", later, aim=_PAGE),
    ]


async def _queue(store: ObjectStore) -> list[Measure]:
    await asyncio.to_thread(_fill, 1, lambda number: _model(store, number))
    await asyncio.to_thread(_fill, repeats(_RUNS, 50), lambda number: _run(store, number))

    async def ask(models: "model_pb2_grpc.ModelServiceAsyncStub") -> list[float]:
        times = []
        for _ in range(repeats(200, 20)):
            began = time.monotonic()
            await models.GetModel(model_pb2.GetModelRequest(name="models/m0"))
            times.append(time.monotonic() - began)
            await asyncio.sleep(0.02)
        times.sort()
        return [median(times), times[int(0.99 * len(times))]]

    middle, worst = await _served(store, ask)
    return [
        Measure.of("call while 1,000 runs wait, median (s)", middle, aim=_UNARY),
        Measure.of("call while 1,000 runs wait, p99 (s)", worst, aim=_UNARY),
    ]


async def _served(
    store: ObjectStore,
    ask: "Callable[[model_pb2_grpc.ModelServiceAsyncStub], Coroutine[None, None, list[float]]]",
) -> list[float]:
    async with (
        catalog(CatalogSettings(), store, job_command=_IDLE) as services,
        running_server(services) as address,
        channel_to(address) as channel,
    ):
        return await ask(model_pb2_grpc.ModelServiceStub(channel))


async def _timed(models: "model_pb2_grpc.ModelServiceAsyncStub") -> float:
    began = time.monotonic()
    await models.ListModels(_QUERY)
    return time.monotonic() - began


def _fill(count: int, make: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(count)))


def _model(store: ObjectStore, number: int) -> None:
    model = model_pb2.Model(name=f"models/m{number}", latest_version=number % 7 + 1)
    model.create_time.FromSeconds(number)
    RecordStore(store).create(model)


def _run(store: ObjectStore, number: int) -> None:
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_PENDING)
    status.create_time.FromSeconds(number)
    RecordStore(store).create(
        dataset_pb2.DatasetImport(name=f"datasetImports/r{number}", status=status)
    )


if __name__ == "__main__":
    publish("catalog-lists", measures(), NOTES)

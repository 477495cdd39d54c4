"""Lists of thousands of resources, and calls while a thousand runs wait.

Part of `make bench NAME=catalog`; alone it is `python -m tests.benchmarks.catalog.lists`.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import grpc

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.calls import client
from common.identity import Role
from common.records import RecordStore
from common.testing.minio import MinioServer
from common.testing.server import TOKENS, running_server
from services.catalog.app import app
from tests.benchmarks.harness import Aim, Measure, publish, repeats

_MODELS = repeats(10_000, 300)
_RUNS = repeats(1_000, 50)
_CALLS = repeats(500, 20)
_JOBS = 2
NOTES = (
    f"Lists: {_MODELS:,} models made beforehand; the service is started anew, and the first page "
    "is asked for as soon as it has warmed up, the others after that, with filter and order.",
    f"Waiting runs: {_RUNS:,} imports in the queue of a service whose {_JOBS} jobs are busy; "
    f"{_CALLS} calls, each 20 ms after the one before, once the service has seen the queue.",
)
_SEEN_SECONDS = 60.0
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
            return _lists(server) + _queue(server)
        finally:
            server.stop()


def _lists(server: MinioServer) -> list[Measure]:
    store = server.new_store()
    _fill(_MODELS, lambda number: _model(store, number))
    # What a service that ran before has left: the snapshot of its index.
    RecordStore(store).warm("models", model_pb2.Model)
    with _served(server, store) as channel:
        models = model_pb2_grpc.ModelServiceStub(channel)
        first = _seconds(lambda: models.ListModels(_QUERY))
        later = median(_seconds(lambda: models.ListModels(_QUERY)) for _ in range(20))
    return [
        Measure.of(f"first page of {_MODELS:,} models right after the start (s)", first),
        Measure.of(f"page of {_MODELS:,} models, filtered and ordered (s)", later, aim=_PAGE),
    ]


def _queue(server: MinioServer) -> list[Measure]:
    store = server.new_store()
    _model(store, 0)
    _fill(_RUNS, lambda number: _run(store, number))
    request = model_pb2.GetModelRequest(name="models/m0")
    times = []
    with _served(server, store) as channel:
        models = model_pb2_grpc.ModelServiceStub(channel)
        imports = dataset_pb2_grpc.DatasetServiceStub(channel)
        _wait_for_queue(imports)
        for _ in range(_CALLS):
            times.append(_seconds(lambda: models.GetModel(request)))
            time.sleep(0.02)
    times.sort()
    p99 = times[int(0.99 * len(times))]
    return [
        Measure.of(f"call while {_RUNS:,} runs wait, median (s)", median(times), aim=_UNARY),
        Measure.of(f"call while {_RUNS:,} runs wait, p99 (s)", p99, aim=_UNARY),
    ]


def _wait_for_queue(imports: "dataset_pb2_grpc.DatasetServiceStub") -> None:
    """Waits until the service tells the first run that has to wait how many are ahead of it."""
    request = dataset_pb2.GetDatasetImportRequest(name=f"datasetImports/r{_JOBS}")
    deadline = time.monotonic() + _SEEN_SECONDS
    while not imports.GetDatasetImport(request).status.progress.message:
        if time.monotonic() > deadline:
            raise TimeoutError("the service does not see the queue")
        time.sleep(0.02)


@contextmanager
def _served(server: MinioServer, store: ObjectStore) -> Iterator[grpc.Channel]:
    """Runs a catalog as a process of its own, whose jobs do nothing."""
    environment = {
        "AIMASS_S3_ENDPOINT": server.settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": server.settings.access_key,
        "AIMASS_S3_SECRET_KEY": server.settings.secret_key,
        "AIMASS_S3_BUCKET": store.bucket,
        "AIMASS_IMPORT_LIMIT": str(_JOBS),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.catalog.lists", "serve"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        with client.connect_sync(address, TOKENS[Role.ADMIN]) as channel:
            yield channel
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _serve() -> None:
    """Serves a catalog until it is killed; prints its address."""
    async with (
        app(_IDLE) as services,
        running_server(services) as address,
    ):
        print(address, flush=True)
        await asyncio.Event().wait()


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
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
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    else:
        publish("catalog-lists", measures(), NOTES)

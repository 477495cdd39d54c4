"""What is left of a large import that is cancelled half-way.

Part of `make bench NAME=catalog`; alone it is `python -m tests.benchmarks.catalog.cancelling`.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.runs.hosts import job_processes
from common.runs.kind import lease_key
from common.runs.lease import read_lease
from common.testing.minio import MinioServer
from tests.benchmarks.catalog.importing import QUICK_ROWS, ROWS, write_table
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, say
from tests.integration.catalog.harness import Catalog, running_catalog
from tests.support.bounds import IMPORT_MEMORY_MB

SECONDS_BOUND = 2.0
NOTES = (
    "Cancel: the same table through the whole service, cancelled at 55 % or later, "
    "once shards are stored. Left over may be: versions, objects of the attempt, files, processes.",
)
_HALF = 0.55
_SAMPLE_SECONDS = 0.02
_LOOK_SECONDS = 0.5
_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True)
class Cancelled:
    """What a cancel half-way came to.

    Attributes:
        seconds: From the request until the state was CANCELLED.
        megabytes: Most memory that the import's processes held (resident), all together.
        stored_before: Objects of the attempt when the cancel was asked for.
        left: What should not be there afterwards, in words.
    """

    seconds: float
    megabytes: float
    stored_before: int
    left: list[str]


def cancelling() -> list[Measure]:
    """Cancels the import of a large file."""
    rows = QUICK_ROWS * 4 if is_quick() else ROWS
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as name:
        path = Path(name) / "table.csv"
        write_table(path, rows)
        say(f"Cancelling the import of a CSV file of {path.stat().st_size / 1e6:.0f} MB half-way")
        server = MinioServer(Path(name) / "minio")
        server.start()
        try:
            found = asyncio.run(_measured(server, path))
        finally:
            server.stop()
    say(f"  {found}")
    return [
        Measure.of("cancel half-way, s", found.seconds, aim=Aim(at_most=SECONDS_BOUND)),
        Measure.of(
            "most memory until then, MB", found.megabytes, aim=Aim(at_most=IMPORT_MEMORY_MB)
        ),
        Measure.of("things left over", len(found.left), aim=Aim(at_most=0)),
    ]


async def cancel_half_way(running: Catalog, path: Path) -> Cancelled:
    """Imports a CSV file and cancels that once it has come half-way.

    Args:
        running: The catalog.
        path: The file.
    """
    key = f"imports/{path.name}"
    await asyncio.to_thread(running.store.upload, key, _chunks(path))
    run = dataset_pb2.DatasetImport()
    run.spec.dataset = "datasets/cancelled"
    run.spec.uri = f"s3://{running.store.bucket}/{key}"
    created = await running.datasets.CreateDatasetImport(
        dataset_pb2.CreateDatasetImportRequest(dataset_import=run)
    )
    with _memory_of(running, created.name) as memory:
        await _wait_for_half(running, created.name)
        stored = len(_data_of(running, created.name))
        processes = memory.processes()
        # Else nothing was measured, and nothing can be seen to be left.
        assert processes and memory.most, f"no process of {created.name} was seen"
        began = time.monotonic()
        await running.datasets.CancelDatasetImport(
            dataset_pb2.CancelDatasetImportRequest(name=created.name)
        )
        events = await running.follow(created.name)
        seconds = time.monotonic() - began
    left = [
        f"state {run_pb2.RunState.Name(event.state_change.state)}"
        for event in events[-1:]
        if event.state_change.state != run_pb2.RUN_STATE_CANCELLED
    ]
    left += [f"object {key}" for key in _data_of(running, created.name)]
    left += [f"file {file}" for file in running.scratch.rglob("*")]
    left += [f"process {process.pid}" for process in processes if process.is_running()]
    left += await _versions(running)
    return Cancelled(seconds, memory.most / 2**20, stored, left)


async def _measured(server: MinioServer, path: Path) -> Cancelled:
    async with running_catalog(server) as running:
        return await cancel_half_way(running, path)


async def _wait_for_half(running: Catalog, name: str) -> None:
    call = running.datasets.WatchDatasetImport(dataset_pb2.WatchDatasetImportRequest(name=name))
    async for event in call:
        if event.progress.fraction >= _HALF and _data_of(running, name):
            call.cancel()
            return
    raise AssertionError(f"{name} ended before it was half-way")


async def _versions(running: Catalog) -> list[str]:
    request = dataset_pb2.ListDatasetVersionsRequest(parent="datasets/cancelled")
    try:
        found = await running.datasets.ListDatasetVersions(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return []
        raise
    return [version.name for version in found.dataset_versions] or ["datasets/cancelled"]


def _data_of(running: Catalog, name: str) -> list[str]:
    keys = [info.key for info in running.store.list(f"runs/{name}/attempts/")]
    return [key for key in keys if "/data/" in key]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


class _Memory:
    """Watches the memory of a run's processes.

    Attributes:
        most: Largest sum of their resident sizes, in bytes.
    """

    def __init__(self, running: Catalog, name: str) -> None:
        self.most = 0
        self._running = running
        self._name = name
        self._found: list[psutil.Process] = []
        self._ended = threading.Event()

    def processes(self) -> list[psutil.Process]:
        """Returns the processes of the run that were seen last."""
        view = read_lease(self._running.store, lease_key(self._name))
        if view is not None and not view.is_free():
            self._found = job_processes(view.record.owner, view.record.process.pid)
        return self._found

    def watch(self) -> None:
        """Watches until `end`."""
        looked = 0.0
        while not self._ended.wait(_SAMPLE_SECONDS):
            if not self._found or time.monotonic() - looked > _LOOK_SECONDS:
                self.processes()
                looked = time.monotonic()
            self.most = max(self.most, sum(_resident(process) for process in self._found))

    def end(self) -> None:
        """Ends the watching."""
        self._ended.set()


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


@contextmanager
def _memory_of(running: Catalog, name: str) -> Iterator[_Memory]:
    memory = _Memory(running, name)
    watcher = threading.Thread(target=memory.watch)
    watcher.start()
    try:
        yield memory
    finally:
        memory.end()
        watcher.join()


if __name__ == "__main__":
    publish("cancelling", cancelling(), NOTES)

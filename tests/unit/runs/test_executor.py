"""The executor on a store in memory, without work for processes."""

import sys
from collections.abc import Iterator

from aimass.type.v1 import run_pb2
from common.artifacts import ObjectInfo
from common.artifacts.memory import MemoryStore
from common.runs.executor import ExecutorTimes, LocalExecutor
from common.runs.owner import RunOwner
from common.testing.runs_contract import Runs
from common.testing.sample_job import KIND

WAITS = [sys.executable, "-c", "import sys; sys.stdin.readline()"]


class _OddStore(MemoryStore):
    """A store that cannot list lineage."""

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        if prefix.startswith("lineage/trainingRuns/") and prefix.endswith("s/"):
            raise RuntimeError("odd")
        return super().list(prefix, after, recursive=recursive)


async def test_lineage_keeps_nothing_from_its_end() -> None:
    """Protects runs from a store that cannot say which of them have their lineage."""
    runs = Runs(_OddStore())
    name = runs.create("cancelled")
    RunOwner.acquire(KIND, name, runs.store).abandon()
    runs.set_state(name, run_pb2.RUN_STATE_CANCELLING)
    times = ExecutorTimes(interval=0.05)
    executor = LocalExecutor(KIND, runs.store, runs.records, WAITS, times=times)
    await executor.start()
    try:
        run = await runs.wait(name, seconds=20)
    finally:
        await executor.stop()
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED

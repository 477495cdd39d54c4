"""The executor on a store in memory, without work for processes."""

import asyncio
import sys
from collections.abc import Collection, Iterator, Sequence

from aimass.type.v1 import run_pb2
from common.artifacts import ObjectInfo
from common.artifacts.memory import MemoryStore
from common.runs.executor import ExecutorTimes, LocalExecutor
from common.runs.kind import name_of
from common.runs.owner import RunOwner
from common.testing.runs_contract import Run, Runs
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


class _EndsElsewhere:
    """Admits all, and has another replica end a run between its listing and its start."""

    def __init__(self, others: Runs) -> None:
        self.others = others
        self.due: list[list[str]] = []
        self.working: set[str] = set()
        self.looked = asyncio.Event()
        self.looked_twice = asyncio.Event()

    def rank(self, run: Run) -> int:
        """All alike."""
        return 0

    def admit(self, due: Sequence[Run], working: Collection[str]) -> Collection[str]:
        """See `Admission`."""
        names = [name_of(run) for run in due]
        self.due.append(names)
        self.working.update(working)
        for name in names:
            self.others.set_state(name, run_pb2.RUN_STATE_CANCELLED)
        self.looked.set()
        if len(self.due) == 2:
            self.looked_twice.set()
        return names


async def test_run_that_ended_elsewhere_gets_no_process() -> None:
    """Protects runs of several replicas from looks that need not list anew."""
    store = MemoryStore()
    runs = Runs(store)
    admission = _EndsElsewhere(Runs(store))
    executor = LocalExecutor(
        KIND,
        store,
        runs.records,
        WAITS,
        times=ExecutorTimes(interval=60),
        spares=0,
        admission=admission,
    )
    name = runs.create("ended")
    await executor.start()
    try:
        await asyncio.wait_for(admission.looked.wait(), 20)
        executor.kick()
        await asyncio.wait_for(admission.looked_twice.wait(), 20)
    finally:
        await executor.stop()
    assert admission.due == [[name], []]
    assert not admission.working

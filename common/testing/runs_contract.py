"""What tests of durable runs share: a store, runs in it, and real processes that work on them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import IO

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts import ObjectStore
from common.records import RecordStore
from common.runs.events import read_events
from common.runs.executor import ExecutorTimes, LocalExecutor
from common.runs.kind import is_terminal, status_of, terminal_event
from common.testing.sample_job import KIND

Run = trainer_pb2.TrainingRun
SAMPLE_JOB = (sys.executable, "-m", "common.testing.sample_job")
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.02


class Runs:
    """The runs in one store, and ways to look at them.

    Attributes:
        store: The object store.
        records: The resources in it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.records = RecordStore(store)

    def create(self, run_id: str, **labels: str) -> str:
        """Stores a pending run. Returns its name."""
        run = Run(name=KIND.name_of(run_id), labels=labels)
        run.status.state = run_pb2.RUN_STATE_PENDING
        run.status.create_time.GetCurrentTime()
        return self.records.create(run).name

    def get(self, name: str) -> Run:
        """Returns a run as it is now."""
        return self.records.get(name, Run).resource

    def set_state(self, name: str, state: run_pb2.RunState.ValueType) -> None:
        """Puts a run into a state, as a service would."""

        def change(run: Run) -> Run:
            run.status.state = state
            return run

        self.records.update(name, Run, change)

    def events(self, name: str) -> list[event_pb2.Event]:
        """Returns all events of a run, the terminal one too if it has ended."""
        run = self.get(name)
        ended = [terminal_event(run)] if is_terminal(run) else []
        return [*read_events(self.store, name), *ended]

    def check_history(self, name: str) -> None:
        """Asserts what holds for every run: numbers 1, 2, 3, ..., attempts never falling."""
        events = self.events(name)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        attempts = [event.attempt for event in events]
        assert attempts == sorted(attempts)

    async def wait(
        self,
        name: str,
        condition: Callable[[Run], bool] = is_terminal,
        seconds: float = _WAIT_SECONDS,
    ) -> Run:
        """Waits until a run meets a condition; by default until it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            run = await asyncio.to_thread(self.get, name)
            if condition(run):
                return run
            assert time.monotonic() < deadline, f"{name} is {status_of(run)}"
            await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def executor(
        self, limit: int = 2, times: ExecutorTimes | None = None
    ) -> AsyncIterator[LocalExecutor[Run]]:
        """Runs an executor of sample jobs. The environment must name the store."""
        executor = LocalExecutor(KIND, self.store, self.records, SAMPLE_JOB, limit, times)
        await executor.start()
        try:
            yield executor
        finally:
            await executor.stop()


async def wait_for_lineage(store: ObjectStore, name: str, end: str) -> None:
    """Waits until a run's lineage has its start and this end: no run waits for it to be written."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        infos = await asyncio.to_thread(lambda: list(store.list(f"lineage/{name}/")))
        events = [info.key.rpartition("-")[2] for info in infos]
        if events == [f"{end}.json", "START.json"]:
            return
        assert time.monotonic() < deadline, f"the lineage of {name} has {events}"
        await asyncio.sleep(_POLL_SECONDS)


class OwnerProcess:
    """A `common.testing.owner_process` and the conversation with it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def tell(self, line: str) -> None:
        """Sends a command."""
        stdin = _pipe(self.process.stdin)
        stdin.write(f"{line}\n")
        stdin.flush()

    def hear(self) -> str:
        """Returns the next answer."""
        return _pipe(self.process.stdout).readline().strip()

    def ask(self, line: str) -> str:
        """Sends a command and returns its answer."""
        self.tell(line)
        return self.hear()


@contextmanager
def owner_process(run: str, environment: Mapping[str, str] | None = None) -> Iterator[OwnerProcess]:
    """Starts an owner process, and kills it in the end.

    Args:
        run: Resource name of the run.
        environment: Variables to add to this process's.
    """
    command = [sys.executable, "-m", "common.testing.owner_process", run]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            owner = OwnerProcess(process)
            assert owner.hear() == "ready"
            yield owner
        finally:
            process.kill()


def _pipe(pipe: "IO[str] | None") -> "IO[str]":
    assert pipe is not None
    return pipe

"""Runs as processes of this host: a bounded number at a time, by rank and age."""

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic

from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.errors import (
    AimassError,
    DataLossError,
    FencedError,
    NotFoundError,
    UnavailableError,
)
from common.records import Record, RecordStore
from common.runs.admission import Admission, EveryRun
from common.runs.errors import RunEndedError
from common.runs.hosts import kill_job
from common.runs.job import EXIT_TRY_LATER, JobSettings
from common.runs.kind import M, RunKind, lease_key, name_of, status_of
from common.runs.lease import LeaseHeldError, LeaseView, read_lease
from common.runs.lineage_writer import LineageWriter
from common.runs.owner import RunOwner
from common.runs.processes import JobProcess, Standby
from common.runs.restarts import Restarts
from common.telemetry import metrics

_log = logging.getLogger(__name__)

# So many of those that wait are told how many are ahead of them, so often; each telling is a write.
_TOLD = 20
_TELL_SECONDS = 5.0
_ACTIVE = "state!=SUCCEEDED AND state!=FAILED AND state!=CANCELLED"


@dataclass(frozen=True)
class ExecutorTimes:
    """Times of an executor in seconds.

    Attributes:
        interval: Between two looks at all runs.
        cancel_grace: From a cancel request to the kill of the processes that are left.
        start_limit: A job that has not taken its run by then is killed.
        exit_limit: A job that still lives so long after its run's end is killed.
        longest_delay: Longest wait before a run is started again; from 0.2 doubling.
    """

    interval: float = 1.0
    cancel_grace: float = 5.0
    start_limit: float = 60.0
    exit_limit: float = 10.0
    longest_delay: float = 10.0


class LocalExecutor(Generic[M]):
    """Starts, watches, restarts and stops the job processes of one kind of run.

    The processes outlive the service: a new executor adopts those that it finds. It keeps nothing
    that matters in memory: all that it does follows from records and leases.

    Args:
        kind: Kind of the runs.
        store: The object store.
        records: The suite's resources.
        command: Program and arguments of the job process, without `--standby`.
        limit: At most so many runs of a rank work at a time.
        times: Its times.
        changed: Called with a run's name when there is news of it.
        spares: Processes that are started ahead.
        admission: Says who comes first, and who may begin; None for all by age.
    """

    def __init__(
        self,
        kind: RunKind[M],
        store: ObjectStore,
        records: RecordStore,
        command: Sequence[str],
        limit: int = 2,
        times: ExecutorTimes | None = None,
        changed: Callable[[str], None] = lambda name: None,
        spares: int = 2,
        admission: Admission[M] | None = None,
    ) -> None:
        self._kind = kind
        self._store = store
        self._records = records
        self._limit = limit
        self._times = times or ExecutorTimes()
        self._changed = changed
        self._lineage = LineageWriter(kind, store, records)
        self._standby = Standby(command, spares)
        self._admission: Admission[M] = admission or EveryRun()
        self._jobs: dict[str, JobProcess] = {}
        self._ranks: dict[str, int] = {}
        self._fresh: deque[M] = deque()
        self._waiting: list[str] = []
        self._told_at = 0.0
        # Runs that had not ended at the last look.
        self._active: set[str] = set()
        self._max_failures = JobSettings().max_faults
        self._restarts = Restarts(self._times.longest_delay, self._max_failures)
        # Since when a condition that has a time limit has held, by run and condition.
        self._since: dict[tuple[str, str], float] = {}
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins: adopts living jobs, starts what is due."""
        await asyncio.to_thread(self._standby.refill)
        self._task = asyncio.create_task(self._work())
        self._lineage.start()
        metrics.count_runs(self._kind.collection, self)

    async def stop(self) -> None:
        """Ends the executor; jobs live on."""
        metrics.forget_runs(self._kind.collection)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._lineage.stop()
        for job in self._jobs.values():
            job.forget()
        await asyncio.to_thread(self._standby.dismiss)

    def kick(self, run: M | None = None) -> None:
        """Looks at once instead of within a second.

        Args:
            run: One that was just created: started right away where there is room.
        """
        if run is not None:
            self._fresh.append(run)
        self._kicked.set()

    def by_state(self) -> Mapping[str, int]:
        """Returns the number of runs by state, for metrics."""
        found = self._find("")
        states = (status_of(record.resource).state for record in found)
        return Counter(run_pb2.RunState.Name(state).removeprefix("RUN_STATE_") for state in states)

    def waiting(self) -> int:
        """Returns the number of runs that wait for a place, for metrics."""
        return len(self._waiting)

    async def _work(self) -> None:
        while True:
            try:
                await self._start_fresh()
                await self._look()
            except UnavailableError as error:
                _log.warning("the executor waits: %s", error)
            except Exception:
                _log.exception("the executor stumbles")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kicked.wait(), self._times.interval)
            self._kicked.clear()

    async def _start_fresh(self) -> None:
        while self._fresh:
            run = self._fresh.popleft()
            name = name_of(run)
            if name in self._jobs or self._waiting or not self._has_room(run):
                continue
            if name in self._admission.admit([run], self._jobs):
                await self._start(run)

    def _has_room(self, run: M) -> bool:
        """Whether a run may have a process beside those of its own and of smaller ranks."""
        rank = self._admission.rank(run)
        return sum(self._ranks.get(name, rank) <= rank for name in self._jobs) < self._limit

    async def _start(self, run: M) -> None:
        name = name_of(run)
        try:
            job = await asyncio.to_thread(self._standby.take, name)
        except OSError:
            _log.exception("no process can be started for %s", name)
            self._restarts.note_failure(name)
            return
        self._jobs[name] = job
        self._ranks[name] = self._admission.rank(run)
        job.call_at_end(self._kicked.set)
        job.call_on_news(partial(self._changed, name))

    async def _look(self) -> None:
        await self._collect_ended()
        runs = await asyncio.to_thread(self._find, _ACTIVE)
        oldest_first = (record.resource for record in reversed(runs))
        active = sorted(oldest_first, key=self._admission.rank)
        names = {name_of(run) for run in active}
        self._lineage.note(self._active - names)
        self._active = names
        await self._kill_leftovers(names)
        self._restarts.keep(names)
        due = [run for run in active if await self._is_due(run)]
        self._ranks = {
            name_of(run): self._admission.rank(run) for run in active if name_of(run) in self._jobs
        }
        waiting = await self._start_due(due)
        await self._tell_all(waiting)
        if not waiting:
            await asyncio.to_thread(self._standby.refill)

    def _find(self, filter: str) -> Sequence[Record[M]]:
        """Returns the runs that match, as they were within the last interval.

        What this service did, and what jobs that ended here did, is there: news of that has the
        executor look more often than it must read a list of all runs.
        """
        return self._records.find(
            self._kind.collection, self._kind.message, filter, max_age=self._times.interval
        )

    async def _start_due(self, due: Sequence[M]) -> list[M]:
        """Starts processes of runs that may have one. Returns the others."""
        admitted = self._admission.admit(due, self._jobs)
        waiting = []
        for run in due:
            if name_of(run) not in admitted or not self._has_room(run):
                waiting.append(run)
                continue
            if not await asyncio.to_thread(self._is_as_known, run):
                continue
            if status_of(run).attempt:
                metrics.lease_takeovers.add(1, {"kind": self._kind.collection})
            await self._start(run)
        return waiting

    def _is_as_known(self, run: M) -> bool:
        """Whether nobody else has begun or ended a run since it was listed."""
        try:
            now = status_of(self._records.get(name_of(run), self._kind.message).resource)
        except (NotFoundError, DataLossError):
            return False
        known = status_of(run)
        return (now.state, now.attempt) == (known.state, known.attempt)

    async def _collect_ended(self) -> None:
        for name, job in list(self._jobs.items()):
            if job.is_alive():
                continue
            job.forget()
            await asyncio.to_thread(job.kill)
            del self._jobs[name]
            self._changed(name)
            # It may have begun and ended between two looks.
            self._active.add(name)
            await self._note_end(name, job)

    async def _note_end(self, name: str, job: JobProcess) -> None:
        view = await asyncio.to_thread(self._read_left, name)
        if job.exit_code == EXIT_TRY_LATER:
            self._restarts.note_later(name)
        elif view is not None and view.record.owner == job.job:
            self._restarts.note_faults(name, view.record.faults)
        else:
            self._restarts.note_failure(name)

    def _read_left(self, name: str) -> LeaseView | None:
        """Reads what a job has left: the run, for the next look at all, and its lease."""
        with contextlib.suppress(NotFoundError):
            self._records.get(name, self._kind.message)
        return read_lease(self._store, lease_key(name))

    async def _kill_leftovers(self, active: set[str]) -> None:
        """Kills jobs that live on although their run has ended."""
        for name, job in self._jobs.items():
            if self._has_held(name, "ended", name not in active, self._times.exit_limit):
                _log.warning("the job of %s does not end", name)
                await asyncio.to_thread(job.kill)

    async def _is_due(self, run: M) -> bool:
        """Whether a process must be started for an active run; does what else there is to do."""
        name, status = name_of(run), status_of(run)
        is_cancelling = status.state == run_pb2.RUN_STATE_CANCELLING
        job = self._jobs.get(name)
        if _is_pending(run) and job is None and status.attempt == 0:
            return await self._may_start(name)
        if job is not None and not is_cancelling and not self._is_to_be_looked_at(job):
            return False
        view = await asyncio.to_thread(read_lease, self._store, lease_key(name))
        if job is not None:
            if self._is_stuck(name, job, view, is_cancelling):
                await asyncio.to_thread(job.kill)
                self._kicked.set()
            return False
        if view is not None and not view.is_free():
            self._adopt(name, view)
            return False
        if view is not None and view.record.process.is_here():
            await asyncio.to_thread(kill_job, view.record.owner, view.record.process.pid)
        if is_cancelling:
            await self._close(name, "All processes of the run are gone.", None)
            return False
        return await self._may_start(name)

    def _is_to_be_looked_at(self, job: JobProcess) -> bool:
        """Whether the last look at a living job's lease was long ago; others may have much news."""
        now = time.monotonic()
        if now - job.looked < self._times.interval:
            return False
        job.looked = now
        return True

    def _is_stuck(
        self, name: str, job: JobProcess, view: LeaseView | None, is_cancelling: bool
    ) -> bool:
        """Whether a living job takes too long to stop, to start, or has lost its lease."""
        if self._has_held(name, "cancelling", is_cancelling, self._times.cancel_grace):
            _log.warning("%s does not stop; its processes are killed", name)
            return True
        if view is None or view.record.owner != job.job:
            return time.monotonic() - job.started > self._times.start_limit
        if view.is_free() and not view.record.released:
            _log.warning("%s stands still; its processes are killed", name)
            return True
        return False

    def _adopt(self, name: str, view: LeaseView) -> None:
        record = view.record
        if record.process.is_here() and record.process.is_alive_here():
            _log.info("process %d works on %s", record.process.pid, name)
            self._jobs[name] = JobProcess.adopt(record)
            self._jobs[name].call_at_end(self._kicked.set)

    async def _may_start(self, name: str) -> bool:
        if not self._restarts.is_hopeless(name):
            return self._restarts.is_time(name)
        error = AimassError(
            f"The run's process could not be started {self._max_failures} times in a row; "
            "the service's log shows its last words.",
            reason="RUN_CANNOT_START",
            help_command=f"aimass debug {name}",
        )
        await self._close(name, "The run's process cannot be started.", error)
        return False

    async def _close(self, name: str, reason: str, error: AimassError | None) -> None:
        """Publishes the end of a run without a process: FAILED with an error, else CANCELLED."""

        def publish() -> None:
            owner = RunOwner.acquire(self._kind, name, self._store, self._records, closing=reason)
            try:
                owner.publish_cancelled() if error is None else owner.fail(error)
            finally:
                owner.abandon()

        try:
            await asyncio.to_thread(publish)
        except (RunEndedError, LeaseHeldError, FencedError) as reason_not:
            _log.info("%s is not closed: %s", name, reason_not)
        self._changed(name)

    async def _tell_all(self, waiting: Sequence[M]) -> None:
        """Tells those that wait how many are ahead: new ones now, all of them every few seconds."""
        known = set(self._waiting)
        self._waiting = [name_of(run) for run in waiting]
        is_time = time.monotonic() - self._told_at >= _TELL_SECONDS
        if is_time:
            self._told_at = time.monotonic()
        for position, run in enumerate(waiting[:_TOLD]):
            if _is_pending(run) and (is_time or name_of(run) not in known):
                await self._tell_waiting(run, len(self._jobs) + position)

    async def _tell_waiting(self, run: M, ahead: int) -> None:
        message = f"waiting, {ahead} run{'' if ahead == 1 else 's'} ahead"
        if status_of(run).progress.message == message:
            return

        def change(current: M) -> M | None:
            if not _is_pending(current):
                return None
            status_of(current).progress.message = message
            status_of(current).update_time.GetCurrentTime()
            return current

        await asyncio.to_thread(self._records.update, name_of(run), self._kind.message, change)

    def _has_held(self, name: str, condition: str, holds: bool, limit: float) -> bool:
        """Whether a condition has held at every look for longer than `limit` seconds."""
        if not holds:
            self._since.pop((name, condition), None)
            return False
        since = self._since.setdefault((name, condition), time.monotonic())
        return time.monotonic() - since > limit


def _is_pending(run: M) -> bool:
    return status_of(run).state == run_pb2.RUN_STATE_PENDING

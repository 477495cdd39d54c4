"""The executor with real job processes on a real store."""

import asyncio
import os
import signal
from collections.abc import Callable
from itertools import pairwise

import psutil
import pytest

from aimass.type.v1 import run_pb2
from common.runs.executor import ExecutorTimes, LocalExecutor
from common.runs.hosts import job_processes
from common.runs.kind import lease_key
from common.runs.lease import LeaseRecord, read_lease
from common.testing.minio import MinioServer
from common.testing.runs_contract import Run, Runs, wait_for_lineage
from common.testing.sample_job import KIND

_QUICK = ExecutorTimes(interval=0.2, cancel_grace=0.3, longest_delay=0.05)


def _lease(runs: Runs, name: str) -> LeaseRecord:
    view = read_lease(runs.store, lease_key(name))
    assert view is not None
    return view.record


def _is_running(run: Run) -> bool:
    return run.status.state == run_pb2.RUN_STATE_RUNNING


def _has_progressed(run: Run) -> bool:
    return run.status.progress.fraction > 0


async def test_run_is_done(runs: Runs) -> None:
    """Protects the way of a run that nothing disturbs: result, times, events, released lease."""
    name = runs.create("plain", steps="5")
    async with runs.executor():
        run = await runs.wait(name)
        await wait_for_lineage(runs.store, name, "COMPLETE")
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert run.metrics["steps"] == 5
    assert run.status.progress.fraction == 1
    assert run.status.end_time.ToNanoseconds() >= run.status.start_time.ToNanoseconds()
    runs.check_history(name)
    steps = [event.metrics.step for event in runs.events(name) if event.HasField("metrics")]
    assert steps == [1, 2, 3, 4, 5]
    assert _lease(runs, name).released


async def test_killed_job_is_started_again(runs: Runs, set_ttl: Callable[[float], None]) -> None:
    """Protects a run whose process dies: the next attempt starts at once and finishes it."""
    set_ttl(600)
    name = runs.create("killed", die="1")
    async with runs.executor(times=_QUICK):
        run = await runs.wait(name)
    assert (run.status.state, run.status.attempt) == (run_pb2.RUN_STATE_SUCCEEDED, 2)
    runs.check_history(name)


async def test_run_that_kills_every_process_fails(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the host from a run that dies again and again without getting further."""
    monkeypatch.setenv("AIMASS_MAX_FAULTS", "2")
    name = runs.create("poison", die="99", steps="1000")
    async with runs.executor(times=_QUICK):
        run = await runs.wait(name)
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert "died 2 times in a row" in run.status.error.message
    # The first attempt does not count where it could still store that it came further than nothing.
    assert run.status.attempt in (3, 4)
    runs.check_history(name)


async def test_run_whose_process_cannot_start_fails(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the user from waiting for ever where the job's program is broken."""
    monkeypatch.setenv("AIMASS_MAX_FAULTS", "2")
    name = runs.create("broken")
    executor = LocalExecutor(KIND, runs.store, runs.records, ["/bin/false"], times=_QUICK)
    await executor.start()
    run = await runs.wait(name)
    await executor.stop()
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert "could not be started" in run.status.error.message
    runs.check_history(name)


@pytest.mark.parametrize(
    ("reason", "code", "message"),
    [
        ("UNKNOWN_COLUMN", 3, "The data is no good."),
        ("bug", 13, "Internal error; the service's log has the details."),
    ],
)
async def test_failure_is_told(runs: Runs, reason: str, code: int, message: str) -> None:
    """Protects the error of a run: known ones whole, unknown ones without their text."""
    name = runs.create("failing", fail=reason)
    async with runs.executor():
        run = await runs.wait(name)
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert (run.status.error.code, run.status.error.message) == (code, message)
    assert runs.events(name)[-1].state_change.error == run.status.error


@pytest.mark.parametrize("manners", [{}, {"stubborn": "1"}])
async def test_cancel_ends_the_whole_process_tree(runs: Runs, manners: dict[str, str]) -> None:
    """Protects the promise that once a run is CANCELLED its processes are gone, all of them."""
    name = runs.create("cancelled", steps="1000", pause="0.1", fork="1", **manners)
    async with runs.executor(times=_QUICK) as executor:
        await runs.wait(name, _has_progressed)
        lease = _lease(runs, name)
        tree = job_processes(lease.owner, lease.process.pid)
        sessions = {os.getsid(process.pid) for process in tree}
        assert len(tree) >= 3, "the job, its child and its grandchild"
        assert len(sessions) == 2, "the grandchild leads a session of its own"
        runs.set_state(name, run_pb2.RUN_STATE_CANCELLING)
        executor.kick()
        run = await runs.wait(name)
        assert not any(process.is_running() and not _is_zombie(process) for process in tree)
        await wait_for_lineage(runs.store, name, "ABORT")
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    runs.check_history(name)


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_jobs_outlive_the_service(runs: Runs, set_ttl: Callable[[float], None]) -> None:
    """Protects running work from a restart of the service: the new one adopts the process."""
    set_ttl(600)
    name = runs.create("adopted", steps="20", pause="0.1")
    async with runs.executor():
        await runs.wait(name, _is_running)
    job = _lease(runs, name).process
    async with runs.executor(times=ExecutorTimes(interval=0.2)) as executor:
        run = await runs.wait(name, _has_progressed)
        assert job.is_alive_here()
        runs.set_state(name, run_pb2.RUN_STATE_CANCELLING)
        executor.kick()
        run = await runs.wait(name)
        assert not job.is_alive_here()
    assert (run.status.state, run.status.attempt) == (run_pb2.RUN_STATE_CANCELLED, 1)


async def test_job_that_dies_while_the_service_is_away_is_taken_over(runs: Runs) -> None:
    """Protects runs from a crash of service and job together; what the job left is swept."""
    name = runs.create("orphan", steps="1000", pause="0.05", fork="1")
    async with runs.executor():
        await runs.wait(name, _has_progressed)
    lease = _lease(runs, name)
    os.kill(lease.process.pid, signal.SIGKILL)
    async with runs.executor(times=_QUICK):
        await runs.wait(name, lambda run: run.status.attempt == 2)
        assert not job_processes(lease.owner, lease.process.pid)
        runs.set_state(name, run_pb2.RUN_STATE_CANCELLING)
        await runs.wait(name)
    runs.check_history(name)


async def test_frozen_job_is_replaced(runs: Runs) -> None:
    """Protects a run whose process stands still past its lease: it is killed and replaced."""
    name = runs.create("frozen", steps="1000", pause="0.05")
    async with runs.executor(times=_QUICK):
        await runs.wait(name, _has_progressed)
        job = _lease(runs, name).process
        os.kill(job.pid, signal.SIGSTOP)
        await runs.wait(name, lambda run: run.status.attempt == 2)
        runs.set_state(name, run_pb2.RUN_STATE_CANCELLING)
        await runs.wait(name)
        assert not job.is_alive_here()
    runs.check_history(name)


async def test_runs_wait_in_the_order_of_their_creation(runs: Runs) -> None:
    """Protects the bound on concurrent runs, and that who waits can see it."""
    names = [runs.create(f"queue-{number}", steps="2", pause="0.2") for number in range(3)]
    async with runs.executor(limit=1, times=_QUICK):
        waiting = await runs.wait(names[2], lambda run: "ahead" in run.status.progress.message)
        ended = [await runs.wait(name) for name in names]
    assert waiting.status.state == run_pb2.RUN_STATE_PENDING
    assert waiting.status.progress.message == "waiting, 2 runs ahead"
    for earlier, later in pairwise(ended):
        begun = later.status.start_time.ToNanoseconds()
        assert begun >= earlier.status.end_time.ToNanoseconds()
    assert not ended[2].status.progress.message


async def test_fresh_run_gets_the_process_that_stands_by(runs: Runs) -> None:
    """Protects the start of a run: it waits neither for imports nor for the next look."""
    async with runs.executor(times=ExecutorTimes(interval=600)) as executor:
        standby = max(psutil.Process().children(), key=psutil.Process.create_time)
        name = runs.create("fresh")
        executor.kick(runs.get(name))
        await runs.wait(name)
    assert _lease(runs, name).process.pid == standby.pid


async def test_store_that_is_away_delays_a_run(
    runs: Runs, minio_server: MinioServer, set_ttl: Callable[[float], None]
) -> None:
    """Protects a run from an outage of the store that is shorter than its lease."""
    set_ttl(30)
    name = runs.create("outage", steps="30", pause="0.1")
    async with runs.executor():
        await runs.wait(name, _has_progressed)
        minio_server.stop()
        await asyncio.sleep(2)
        minio_server.start()
        run = await runs.wait(name)
    assert (run.status.state, run.status.attempt) == (run_pb2.RUN_STATE_SUCCEEDED, 1)
    runs.check_history(name)
    steps = [event.metrics.step for event in runs.events(name) if event.HasField("metrics")]
    assert steps == list(range(1, 31))

"""Workers, agents and warm processes die and freeze; the run goes on."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from services.trainer.coordinator.errors import NotEnoughWorkersError
from tests.chaos.rig import Record, Rig, worker_range
from tests.chaos.toy import ToyJob

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

COMMIT_STEPS = 10
CAUSES = {
    signal.SIGKILL: event_pb2.CHANGE_CAUSE_WORKER_DIED,
    signal.SIGSTOP: event_pb2.CHANGE_CAUSE_WORKER_FROZEN,
}


@asynccontextmanager
async def training(
    rig: Rig, record: Record, name: str, workers: trainer_pb2.WorkerRange | None = None
) -> AsyncIterator[None]:
    """A run on two workers, from its first steps on; by default it also goes on with one."""
    job = ToyJob(commit_steps=COMMIT_STEPS)
    wanted = workers or worker_range(1, 2)
    task = asyncio.create_task(rig.train(record, job, wanted, name=name))
    try:
        await record.until_steps(3 * COMMIT_STEPS)
        yield
        await record.until_steps(COMMIT_STEPS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_worker_is_replaced(
    rig: Rig, record: Record, run_name: str, number: signal.Signals
) -> None:
    """A killed or frozen worker is replaced at once, from the last commit, on the same agents."""
    async with training(rig, record, run_name):
        (worker,) = rig.agent("agent-2").workers()
        worker.send_signal(number)
        await record.until(lambda: len(record.worlds) == 2)
    change = record.worlds[1]
    assert sorted(change.agents) == ["agent-1", "agent-2"]
    assert 0 < change.recovery_time.ToTimedelta().total_seconds() < 10
    assert change.pause.ToTimedelta() >= change.recovery_time.ToTimedelta()
    assert change.steps_lost <= 2 * COMMIT_STEPS, "goes on from a commit, not from the beginning"
    assert (change.cause, change.faults) == (CAUSES[number], 1)
    assert not worker.is_running(), "the frozen worker is gone too"


async def test_killed_agent_is_done_without_then_used_again(
    rig: Rig, record: Record, run_name: str
) -> None:
    """With an agent its worker dies; when it is started again, the run takes it in."""
    async with training(rig, record, run_name):
        agent = rig.agent("agent-2")
        (worker,) = agent.workers()
        warm = agent.warm()
        agent.kill()
        change = await record.until_workers(1)
        assert change.agents == ["agent-1"]
        assert "agent-2 is gone" in change.reason
        _, alive = await asyncio.to_thread(psutil.wait_procs, [worker, warm], 5)
        assert not alive, "nothing of a dead agent is left"
        rig.restart_agent("agent-2")
        change = await record.until_workers(2)
        assert change.reason == "agent-2 joined"
        assert change.steps_lost == 0, "a planned change waits for a commit"


async def test_fewer_than_min_wait_for_the_agent_to_come_back(
    rig: Rig, record: Record, run_name: str
) -> None:
    """The run says that it waits, and goes on from its commit when there are enough again."""
    async with training(rig, record, run_name, worker_range(2, 2)):
        rig.agent("agent-2").kill()
        await record.until_workers(0)
        rig.restart_agent("agent-2")
        change = await record.until_workers(2)
    waiting = record.memberships[-2]
    assert "agent-2 is gone; waiting for workers: 1 of at least 2" in waiting.reason
    assert waiting.cause == event_pb2.CHANGE_CAUSE_WAITING
    assert (change.cause, change.faults) == (event_pb2.CHANGE_CAUSE_AGENT_LOST, 1)
    assert change.steps_lost <= 2 * COMMIT_STEPS


async def test_fewer_than_min_for_too_long_end_the_run(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A run that lost an agent for good fails at its deadline, with the cure."""
    workers = worker_range(2, 2, wait_seconds=1.5)
    run = asyncio.create_task(rig.train(record, ToyJob(), workers, name=run_name))
    await record.until_steps(2 * COMMIT_STEPS)
    rig.agent("agent-2").kill()
    try:
        with pytest.raises(NotEnoughWorkersError, match="at least 2 workers"):
            await run
        assert record.memberships[-1].cause == event_pb2.CHANGE_CAUSE_WAITING
    finally:
        rig.restart_agent("agent-2")


async def test_killed_warm_process_is_started_anew(rig: Rig, record: Record, run_name: str) -> None:
    """The death of the process that forks takes its worker along; the agent starts another."""
    async with training(rig, record, run_name):
        agent = rig.agent("agent-1")
        warm, (worker,) = agent.warm(), agent.workers()
        warm.kill()
        await record.until_workers(1)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        await record.until_workers(2)
        assert agent.warm().pid != warm.pid


async def test_frozen_agent_comes_back(rig: Rig, record: Record, run_name: str) -> None:
    """A frozen agent is done without; when it wakes up, its slots are used again."""
    async with training(rig, record, run_name):
        rig.agent("agent-2").send(signal.SIGSTOP)
        try:
            change = await record.until_workers(1)
            assert "agent-2 is frozen" in change.reason
        finally:
            rig.agent("agent-2").send(signal.SIGCONT)
        change = await record.until_workers(2)
        assert change.reason == "agent-2 joined"


async def test_agent_leaves_in_peace(rig: Rig, record: Record, run_name: str) -> None:
    """An agent that is asked to end commits first, so that no work is lost, then is gone."""
    async with training(rig, record, run_name):
        rig.agent("agent-2").send(signal.SIGTERM)
        change = await record.until_workers(1)
        assert change.reason == "agent-2 leaves"
        assert change.steps_lost == 0
        assert await rig.agent("agent-2").wait() == 0
        rig.restart_agent("agent-2")
        await record.until_workers(2)

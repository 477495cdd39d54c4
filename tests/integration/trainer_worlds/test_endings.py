"""How a run ends: complete, cancelled, failed, without workers, taken over."""

import asyncio
import time

import grpc
import psutil
import pytest

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc
from common.calls import client
from common.errors import FencedError
from common.runs.errors import RunCancelledError
from services.trainer.coordinator.changes import Changes
from services.trainer.coordinator.errors import (
    NotEnoughWorkersError,
    TrainingFailedError,
    WorkersFailedError,
)
from services.trainer.coordinator.members import Members
from services.trainer.coordinator.servicer import serve_control
from tests.chaos.rig import Record, Rig, coordinator_process, worker_range
from tests.chaos.toy import ToyJob

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_complete_run(rig: Rig, record: Record, run_name: str) -> None:
    """A run trains to its last step, builds its package, and leaves the agents idle and clean."""
    job = ToyJob(steps=50)
    finished = await rig.train(record, job, worker_range(2, 2), name=run_name)
    assert finished.step == job.steps
    assert [change.workers for change in record.worlds] == [2]
    await rig.until_idle("agent-1", "agent-2")
    assert not list(rig.commits.glob("*/*")), "commits of a run that ended are removed"


async def test_next_run_has_all_agents_at_once(rig: Rig, run_name: str) -> None:
    """The pool does not send the agents of a run that ends to that run again."""
    for number in range(4):
        record = Record()
        name = f"{run_name}-{number}"
        await rig.train(record, ToyJob(steps=10), worker_range(1, 2), name=name)
        assert [change.workers for change in record.worlds] == [2]


async def test_cancelled_run_leaves_no_worker(rig: Rig, record: Record, run_name: str) -> None:
    """When the cancelled run returns, its workers have ended."""
    cancelled = asyncio.Event()

    async def watch() -> None:
        await cancelled.wait()
        raise RunCancelledError("cancelled")

    training = asyncio.create_task(
        rig.train(record, ToyJob(), worker_range(2, 2), name=run_name, watch=watch)
    )
    await record.until_steps(5)
    workers = [worker for agent in rig.agents for worker in agent.workers()]
    assert len(workers) == 2
    cancelled.set()
    with pytest.raises(RunCancelledError):
        await training
    assert not [worker for worker in workers if worker.is_running()]


async def test_training_that_cannot_go_on_fails_at_once(
    rig: Rig, record: Record, run_name: str
) -> None:
    """What a worker calls hopeless is not tried again, and its reason is the run's."""
    with pytest.raises(TrainingFailedError, match="NaN at step 7") as caught:
        await rig.train(record, ToyJob(fail_step=7), worker_range(2, 2), name=run_name)
    assert caught.value.reason == "DIVERGED"
    assert len(record.worlds) == 1


async def test_workers_that_always_crash_fail_the_run(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A crash before every first step is no fault to live with: five in a row end the run."""
    with pytest.raises(WorkersFailedError, match="rank 1 gives up") as caught:
        await rig.train(record, ToyJob(crash_rank=1), worker_range(2, 2), name=run_name)
    assert "worker 1 ended with exit code 9" in caught.value.message


async def test_workers_that_die_at_every_step_fail_the_run(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A run in which each world does one step, and even commits it, does not go on for ever."""
    job = ToyJob(crash_rank=1, crash_after=1, commit_steps=1)
    with pytest.raises(WorkersFailedError, match="rank 1 gives up") as caught:
        await rig.train(record, job, worker_range(2, 2), name=run_name)
    assert "20 times in a row" in caught.value.message
    assert all(change.steps_lost <= 1 for change in record.memberships)


async def test_too_few_workers_wait_visibly_then_fail(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A run that needs more slots than there are says so, and fails at its deadline."""
    workers = worker_range(3, 3, wait_seconds=1.0)
    with pytest.raises(NotEnoughWorkersError, match="at least 3 workers"):
        await rig.train(record, ToyJob(), workers, name=run_name)
    (change,) = record.memberships
    assert change.workers == 0
    assert "of at least 3" in change.reason


async def test_fewer_than_wanted_start_after_two_seconds(
    rig: Rig, record: Record, run_name: str
) -> None:
    """With at least `min` slots a run does not wait for those it would like to have."""
    started = time.monotonic()
    await rig.train(record, ToyJob(steps=5), worker_range(1, 3), name=run_name)
    assert record.worlds[0].workers == 2
    assert time.monotonic() - started > 2


async def test_younger_run_waits_for_older(rig: Rig, record: Record, run_name: str) -> None:
    """Runs get agents in the order of their creation; the next one starts when one has ended."""
    older = asyncio.create_task(
        rig.train(record, ToyJob(steps=100), worker_range(2, 2), name=f"{run_name}-older")
    )
    await record.until_steps(1)
    second = Record()
    younger = asyncio.create_task(
        rig.train(second, ToyJob(steps=10), worker_range(2, 2), name=f"{run_name}-younger")
    )
    await older
    assert second.steps == 0
    assert (await younger).step == 10


async def test_killed_coordinator_is_succeeded(rig: Rig, record: Record, run_name: str) -> None:
    """Workers outlive their coordinator for a while; the next attempt goes on from their commit."""
    async with coordinator_process(rig, run_name) as process:
        old = [worker for agent in rig.agents for worker in agent.workers()]
        process.kill()
    assert all(worker.is_running() for worker in old)
    training = asyncio.create_task(
        rig.train(record, ToyJob(), worker_range(2, 2), name=run_name, attempt=2)
    )
    await record.until(lambda: record.steps > 0)
    assert record.steps > 10, "the second attempt does not begin anew"
    assert not [worker for worker in old if worker.is_running()]
    with pytest.raises(FencedError):
        await rig.train(Record(), ToyJob(), worker_range(2, 2), name=run_name, attempt=1)
    assert not training.done(), "an older attempt disturbs nobody"
    training.cancel()
    await asyncio.gather(training, return_exceptions=True)


async def test_workers_of_a_lost_coordinator_end(rig: Rig, run_name: str) -> None:
    """Without a successor the workers are killed after five seconds, and the agents are free."""
    async with coordinator_process(rig, run_name) as process:
        old = [worker for agent in rig.agents for worker in agent.workers()]
        process.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, old, 10)
    assert not alive
    await rig.until_idle("agent-1", "agent-2")


async def test_run_outlives_the_pool(rig: Rig, record: Record, run_name: str) -> None:
    """While the pool is away the run goes on; afterwards the pool knows again who works for it."""
    training = asyncio.create_task(rig.train(record, ToyJob(), worker_range(2, 2), name=run_name))
    await record.until_steps(5)
    await rig.stop_pool()
    await record.until_steps(50)
    await rig.start_pool()
    await rig.until_ready("agent-1", "agent-2")
    assert [agent.training_run for agent in rig.hub.agents()] == [run_name, run_name]
    await record.until_steps(50)
    assert len(record.worlds) == 1, "nobody was sent away"
    training.cancel()
    await asyncio.gather(training, return_exceptions=True)


async def test_coordinator_wants_its_token() -> None:
    """Who does not show the run's own token cannot attach."""
    members = Members(Changes(), lambda agent, message: None)
    server = await serve_control(members, "127.0.0.1", "trainingRuns/x", "secret")
    try:
        async with client.connect(server.address, "wrong") as channel:
            stub = agents_pb2_grpc.WorkerControlServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await anext(aiter(stub.Attach(iter([agents_pb2.AttachRequest()]))))
    finally:
        await server.stop(0)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED

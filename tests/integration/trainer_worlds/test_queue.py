"""Several runs and two agents: who waits, who gives way, and what that costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from tests.chaos.rig import Record, Rig, worker_range
from tests.chaos.toy import ToyJob

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def endless(
    rig: Rig, record: Record, name: str, least: int, steps: int
) -> AsyncIterator[None]:
    """A run of at least so many workers that is at work until it is left, from some steps on.

    How long others take to begin differs much on a busy host: no run of so many steps fits.
    """
    job = ToyJob(commit_steps=1_000_000)
    task = asyncio.create_task(rig.train(record, job, worker_range(least, 2), name=name))
    try:
        await record.until_steps(steps)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_stopped_run_waits_visibly_and_loses_no_step(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A run of a higher priority has the agents at once; the other one goes on where it was."""
    urgent = Record()
    async with endless(rig, record, run_name, 2, steps=20):
        await rig.train(
            urgent,
            ToyJob(steps=10),
            worker_range(2, 2),
            name=f"{run_name}-urgent",
            priority=trainer_pb2.PRIORITY_HIGH,
        )
        await record.until(lambda: len(record.worlds) == 2)
        await record.until_steps(10)
    assert [change.workers for change in urgent.worlds] == [2]
    waits = [each for each in record.memberships if each.cause == event_pb2.CHANGE_CAUSE_WAITING]
    assert all("other runs have the slots; place 1 in the queue" in each.reason for each in waits)
    assert sum(each.steps_lost for each in record.memberships) == 0
    assert [each.workers for each in record.worlds] == [2, 2]


async def test_run_shrinks_and_grows_again(rig: Rig, record: Record, run_name: str) -> None:
    """For a higher priority down to its minimum: both runs work, and no step is lost."""
    high = trainer_pb2.PRIORITY_HIGH
    async with endless(rig, record, run_name, 1, steps=10):
        await record.until_workers(2)
        urgent = rig.train(
            Record(),
            ToyJob(steps=50),
            worker_range(1, 1),
            name=f"{run_name}-urgent",
            priority=high,
        )
        assert (await urgent).step == 50
        await record.until(lambda: len(record.worlds) >= 3)
    changes = record.worlds
    assert [each.workers for each in changes] == [2, 1, 2]
    assert sum(each.steps_lost for each in changes) == 0


async def test_time_limit_does_not_run_while_others_have_the_slots(
    rig: Rig, record: Record, run_name: str
) -> None:
    """A run in the queue waits as long as it takes."""
    second = Record()
    patient = worker_range(2, 2, wait_seconds=2.0)
    async with endless(rig, record, run_name, 2, steps=1):
        waiting = asyncio.create_task(
            rig.train(second, ToyJob(steps=5), patient, name=f"{run_name}-second")
        )
        await second.until(lambda: bool(second.memberships))
        assert "place 1 in the queue" in second.memberships[0].reason
        await record.until_steps(500)  # of 5 ms at least
    assert (await waiting).step == 5

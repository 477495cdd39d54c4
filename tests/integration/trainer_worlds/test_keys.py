"""Keys of workers to the store end; a run that outlasts them gets new ones."""

import asyncio
from dataclasses import dataclass

import pytest

from aimass.type.v1 import event_pb2
from common.artifacts.settings import StoreSettings
from common.artifacts.temporary_keys import Grant
from common.testing.minio import MinioServer
from services.trainer.coordinator.keys import WorkerKeys
from tests.chaos.rig import Record, Rig, worker_range
from tests.chaos.toy import ToyJob

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

GRANT = Grant(("runs/trainingRuns/long/",), ("runs/trainingRuns/long/attempts/1/",))
HALF_A_WEEK = 3.5 * 86_400


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def renewals(record: Record) -> list[event_pb2.MembershipChange]:
    """Returns the worlds that began since there were new keys."""
    return [each for each in record.memberships if "new keys to the store" in each.reason]


def names_in(record: Record) -> list[str]:
    """Returns the keys that workers have said they have, in order."""
    return [line.removeprefix("keys ") for line in record.lines if line.startswith("keys ")]


async def test_workers_begin_anew_with_new_keys(
    rig: Rig, record: Record, run_name: str, minio_server: MinioServer
) -> None:
    """After half of their time keys are renewed, and no step is lost; not before, and once."""
    clock = Clock()
    keys = WorkerKeys(minio_server.settings, GRANT, is_required=True, clock=clock)
    first = keys.environment()["AIMASS_S3_ACCESS_KEY"]
    job = ToyJob(tells_keys=True)
    run = asyncio.create_task(rig.train(record, job, worker_range(2, 2), name=run_name, keys=keys))
    try:
        await record.until_steps(30)
        clock.now = HALF_A_WEEK - 1
        await record.until_steps(30)
        assert names_in(record) == [first] * 2
        clock.now = HALF_A_WEEK
        await record.until(lambda: len(renewals(record)) == 1)
        await record.until_steps(30)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    [change] = renewals(record)
    assert change.cause == event_pb2.CHANGE_CAUSE_PLANNED
    assert change.steps_lost == 0
    second = keys.environment()["AIMASS_S3_ACCESS_KEY"]
    assert second != first
    assert names_in(record) == [first] * 2 + [second] * 2


async def test_a_store_that_is_away_does_not_disturb_a_run_with_old_keys(
    rig: Rig, record: Record, run_name: str, minio_server: MinioServer
) -> None:
    """The old keys are good for as long again: the run goes on and asks once a minute."""
    clock, store = Clock(), minio_server.settings
    asked: list[float] = []

    class Counted(WorkerKeys):
        def _renew(self) -> None:
            asked.append(clock.now)
            super()._renew()

    keys = Counted(store, GRANT, is_required=True, clock=clock)
    run = asyncio.create_task(
        rig.train(record, ToyJob(), worker_range(2, 2), name=run_name, keys=keys)
    )
    try:
        await record.until_steps(30)
        keys._settings = StoreSettings(**{**store.model_dump(), "endpoint": "127.0.0.1:9"})
        clock.now = HALF_A_WEEK
        await record.until(lambda: len(asked) == 2)
        await record.until_steps(60)
        assert len(asked) == 2 and not renewals(record)
        keys._settings = store
        clock.now += 60
        await record.until(lambda: len(renewals(record)) == 1)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert renewals(record)[0].steps_lost == 0

"""A trial whose client is gone is given out again, and belongs to one client at a time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from aimass.tuner.v1 import study_pb2
from common.artifacts.memory import MemoryStore
from common.names import StudyName
from common.records import RecordStore
from services.tuner.study.convert import problem_of
from services.tuner.study.trials import Trials
from tests.unit.tuner_study.studies import asking, creation, few, serving, telling

TWO = {"leaseDuration": "60s", **few(2)}


@dataclass
class Clock:
    """Time that passes when it is told to, of the store and of the service."""

    passed: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def seconds(self) -> float:
        return self().timestamp()

    def advance(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
async def stub(clock: Clock) -> AsyncIterator[Any]:
    """A service on that time."""
    async with serving(MemoryStore(clock=clock), clock=clock.seconds) as stub:
        yield stub


async def ask(stub: Any) -> study_pb2.Trial | None:
    trials = (await stub.AskTrials(asking())).trials
    return trials[0] if trials else None


async def test_a_trial_whose_client_is_gone_is_given_out_again(stub: Any, clock: Clock) -> None:
    """Not before its lease has ended, and with the same settings."""
    await stub.CreateStudy(creation(**TWO))
    first, second = await ask(stub), await ask(stub)
    assert first is not None and second is not None
    await stub.TellTrial(telling(second))
    clock.advance(50)
    assert await ask(stub) is None
    clock.advance(12)
    again = await ask(stub)
    assert again is not None
    assert (again.name, again.settings, again.attempt) == (first.name, first.settings, 2)
    assert await ask(stub) is None


async def test_reports_keep_a_trial(stub: Any, clock: Clock) -> None:
    """With a value or without."""
    await stub.CreateStudy(creation(**TWO))
    first, second = await ask(stub), await ask(stub)
    assert first is not None and second is not None
    for step in range(4):
        clock.advance(40)
        await stub.ReportTrial(study_pb2.ReportTrialRequest(name=first.name, step=step, value=1))
        await stub.ReportTrial(study_pb2.ReportTrialRequest(name=second.name))
        assert await ask(stub) is None


async def test_who_lost_a_trial_is_told(stub: Any, clock: Clock) -> None:
    """What it says with its attempt counts no more, and is not mixed into the other's."""
    await stub.CreateStudy(creation(**TWO))
    first = await ask(stub)
    assert first is not None
    late = study_pb2.ReportTrialRequest(name=first.name, step=0, value=1, attempt=1)
    await stub.ReportTrial(late)
    clock.advance(62)
    again = await ask(stub)
    assert again is not None and again.name == first.name and not again.measurements
    for call in (stub.ReportTrial(late), stub.TellTrial(telling(first, 9, attempt=1))):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.ABORTED
        assert "ask for another trial" in str(raised.value.details())
    told = await stub.TellTrial(telling(again, 3, attempt=2))
    assert told.values["loss"] == 3


async def test_who_is_late_may_still_tell_what_nobody_else_has(stub: Any, clock: Clock) -> None:
    await stub.CreateStudy(creation(**TWO))
    first = await ask(stub)
    assert first is not None
    clock.advance(1_000)
    told = await stub.TellTrial(telling(first, attempt=1))
    assert told.state == study_pb2.TRIAL_STATE_COMPLETED
    again = await ask(stub)
    assert again is not None and again.name != first.name


async def test_of_two_replicas_one_gives_a_trial_out_again(clock: Clock) -> None:
    store = MemoryStore(clock=clock)
    async with serving(store, replicas=2, clock=clock.seconds) as (one, other):
        await one.CreateStudy(creation(**few(1), leaseDuration="60s"))
        assert await ask(one) is not None
        assert await ask(other) is None
        clock.advance(62)
        found = [await ask(each) for each in (one, other, one, other)]
        assert sum(each is not None for each in found) == 1


async def test_settings_that_a_dead_replica_had_claimed_are_tried_in_the_end(clock: Clock) -> None:
    """It died before it made a trial of them: they are nobody's after a minute."""
    store = MemoryStore(clock=clock)
    async with serving(store, clock=clock.seconds) as stub:
        study = await stub.CreateStudy(creation(**few(1)))
        key = problem_of(study.spec).space.key({"depth": 1})
        assert Trials(store, RecordStore(store)).claim(StudyName("s"), key)
        answer = await stub.AskTrials(asking())
        assert not answer.trials and not answer.done
        clock.advance(62)
        trial = await ask(stub)
        assert trial is not None and trial.settings["depth"].integer == 1

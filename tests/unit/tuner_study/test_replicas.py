"""Any replica answers: what one did the other knows, and never do two give out the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aimass.tuner.v1 import study_pb2
from common.artifacts.memory import MemoryStore
from tests.unit.tuner_study.studies import asking, creation, few, serving, telling

STUDY = "studies/s"


@pytest.fixture
async def replicas() -> AsyncIterator[Any]:
    """Two services on one store."""
    async with serving(replicas=2) as stubs:
        yield stubs


async def test_fifty_clients_of_two_replicas_get_fifty_trials(replicas: Any) -> None:
    """Each of settings of its own, though both replicas begin with the same defaults."""
    await replicas[0].CreateStudy(creation(**few(60)))

    async def client(number: int) -> list[study_pb2.Trial]:
        found = []
        for _ in range(1):
            answer = await replicas[number % 2].AskTrials(asking())
            found += answer.trials
        return found

    trials = [each for found in await asyncio.gather(*map(client, range(50))) for each in found]
    assert len({each.name for each in trials}) == 50
    assert len({each.settings["depth"].integer for each in trials}) == 50


async def test_all_settings_are_tried_once_by_clients_of_two_replicas(replicas: Any) -> None:
    await replicas[0].CreateStudy(creation(**few(40)))
    tried: list[int] = []

    async def client(number: int) -> None:
        stub = replicas[number % 2]
        while True:
            answer = await stub.AskTrials(asking())
            if not answer.trials:
                return
            for trial in answer.trials:
                tried.append(trial.settings["depth"].integer)
                await stub.TellTrial(telling(trial))

    await asyncio.gather(*map(client, range(10)))
    assert sorted(tried) == list(range(1, 41))
    assert (await replicas[1].AskTrials(asking())).done


async def test_what_one_replica_was_told_the_other_knows(replicas: Any) -> None:
    one, other = replicas
    await one.CreateStudy(creation())
    (trial,) = (await one.AskTrials(asking())).trials
    assert await other.TellTrial(telling(trial, 4)) == await one.TellTrial(telling(trial, 4))
    request = study_pb2.ListBestTrialsRequest(parent=STUDY)
    assert await one.ListBestTrials(request) == await other.ListBestTrials(request)
    assert len((await other.ListTrials(study_pb2.ListTrialsRequest(parent=STUDY))).trials) == 1


async def test_who_was_deleted_elsewhere_is_gone() -> None:
    """A replica that still knows a study leaves no trials of it behind."""
    store = MemoryStore()
    async with serving(store, replicas=2) as (one, other):
        await one.CreateStudy(creation())
        await other.AskTrials(asking())
        await one.DeleteStudy(study_pb2.DeleteStudyRequest(name=STUDY))
        for call in (
            other.AskTrials(asking(3)),
            other.GetStudy(study_pb2.GetStudyRequest(name=STUDY)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        assert not list(store.list("records/studies/s/"))


async def test_a_study_that_was_made_anew_elsewhere_is_another() -> None:
    store = MemoryStore()
    async with serving(store, replicas=2) as (one, other):
        await one.CreateStudy(creation())
        for _ in range(3):
            await other.AskTrials(asking())
        await one.DeleteStudy(study_pb2.DeleteStudyRequest(name=STUDY))
        await one.CreateStudy(creation(**few(9)))
        (trial,) = (await other.AskTrials(asking())).trials
        assert trial.name == f"{STUDY}/trials/1" and set(trial.settings) == {"depth"}


async def test_trials_to_begin_with_are_made_though_who_created_the_study_died() -> None:
    """They are in the study until each is a resource; any replica completes that."""
    store = MemoryStore()
    async with serving(store) as stub:
        request = creation()
        trial = request.initial_trials.add(failure="too hot")
        trial.settings["depth"].integer, trial.settings["rate"].number = 3, 0.5
        await stub.CreateStudy(request)
    # As it was between the study and its trials.
    from common.records import RecordStore  # noqa: PLC0415

    def undo(study: study_pb2.Study) -> study_pb2.Study:
        study.initial_trials.append(trial)
        study.initial_trials[0].state = study_pb2.TRIAL_STATE_FAILED
        return study

    RecordStore(store).update(STUDY, study_pb2.Study, undo)
    store.delete("records/studies/s/trials/1.json")
    async with serving(store) as stub:
        listed = await stub.ListTrials(study_pb2.ListTrialsRequest(parent=STUDY))
        assert [each.failure for each in listed.trials] == ["too hot"]
        assert not (await stub.GetStudy(study_pb2.GetStudyRequest(name=STUDY))).initial_trials

"""Studies over the wire: made, asked, told, deleted."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aimass.tuner.v1 import study_pb2
from common.artifacts.memory import MemoryStore
from common.identity import Role
from tests.unit.tuner_study.studies import asking, creation, few, serving, telling

STUDY = "studies/s"


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


@pytest.fixture
async def stub(store: MemoryStore) -> AsyncIterator[Any]:
    """A service on it."""
    async with serving(store) as stub:
        yield stub


async def ask(stub: Any, count: int = 1) -> list[study_pb2.Trial]:
    return list((await stub.AskTrials(asking(count))).trials)


async def test_a_study_lives_from_its_creation_to_its_deletion(
    stub: Any, store: MemoryStore
) -> None:
    """Nothing of it is left in the store, also where one was made anew under its name."""
    made = await stub.CreateStudy(creation())
    assert made.name == STUDY
    for loss in (3.0, 1.0, 2.0):
        (trial,) = await ask(stub)
        told = await stub.TellTrial(telling(trial, loss))
        assert told.state == study_pb2.TRIAL_STATE_COMPLETED and told.HasField("end_time")
        assert not told.HasField("lease_expire_time")
    await ask(stub)
    got = await stub.GetStudy(study_pb2.GetStudyRequest(name=STUDY))
    assert (got.trial_counts.completed, got.trial_counts.running) == (3, 1)
    best = await stub.ListBestTrials(study_pb2.ListBestTrialsRequest(parent=STUDY))
    assert [dict(each.values) for each in best.trials] == [{"loss": 1.0}]
    listed = await stub.ListTrials(
        study_pb2.ListTrialsRequest(parent=STUDY, filter="state=COMPLETED", page_size=2)
    )
    assert len(listed.trials) == 2 and listed.next_page_token
    studies = await stub.ListStudies(study_pb2.ListStudiesRequest())
    assert [each.name for each in studies.studies] == [STUDY]
    await stub.DeleteStudy(study_pb2.DeleteStudyRequest(name=STUDY))
    left = [each.key for each in store.list("") if not each.key.startswith("requests/")]
    assert left == ["records/studies/s.json"]  # its tombstone
    anew = await stub.CreateStudy(creation())
    assert anew.uid != made.uid
    assert [each.name for each in await ask(stub)] == [f"{STUDY}/trials/1"]


async def test_defaults_are_filled_in_and_nothing_is_stored_to_see_them(
    stub: Any, store: MemoryStore
) -> None:
    request = creation("", pruning={"pruner": "STUDY_PRUNER_ASHA"})
    request.validate_only = True
    study = await stub.CreateStudy(request)
    depth, rate = study.spec.parameters
    assert depth.integer.default_value == 25
    assert rate.number.default_value == pytest.approx(0.0316)
    assert study.spec.max_trials == 10_000 and study.spec.lease_duration.seconds == 600
    assert study.spec.objectives[0].direction == study_pb2.DIRECTION_MINIMIZE
    assert study.spec.pruning.factor == 4
    assert not list(store.list(""))


async def test_a_repeated_creation_returns_the_first_study(stub: Any) -> None:
    request = creation("", seed=1)
    request.request_id = str(uuid.uuid4())
    first, second = await stub.CreateStudy(request), await stub.CreateStudy(request)
    assert first == second
    request.study.spec.seed = 2
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.CreateStudy(request)
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS


async def test_a_repeated_ask_returns_the_same_trials(stub: Any) -> None:
    """A client whose answer got lost must not leave trials behind that nobody carries out."""
    await stub.CreateStudy(creation())
    request = asking(3, request_id=str(uuid.uuid4()))
    first, second = await stub.AskTrials(request), await stub.AskTrials(request)
    assert len(first.trials) == 3 and first == second
    request.count = 4
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.AskTrials(request)
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS


async def test_what_was_told_stays(stub: Any) -> None:
    """The same content again returns the trial as it is, other content is refused."""
    await stub.CreateStudy(creation())
    (trial,) = await ask(stub)
    told = await stub.TellTrial(telling(trial, 2.0, cost=3.0))
    assert await stub.TellTrial(telling(trial, 2.0, cost=3.0)) == told
    others = (
        telling(trial, 2.5, cost=3.0),
        telling(trial, 2.0),
        study_pb2.TellTrialRequest(name=trial.name, failure="no"),
        study_pb2.TellTrialRequest(name=trial.name, pruned=True),
    )
    for other in others:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.TellTrial(other)
        assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert await stub.GetTrial(study_pb2.GetTrialRequest(name=trial.name)) == told


async def test_many_clients_never_get_the_same_trial(stub: Any) -> None:
    await stub.CreateStudy(creation())
    answers = await asyncio.gather(*(stub.AskTrials(asking()) for _ in range(50)))
    trials = [each for answer in answers for each in answer.trials]
    assert len({each.name for each in trials}) == 50
    assert len({str(sorted(each.settings.items(), key=str)) for each in trials}) == 50


async def test_a_study_ends_with_its_last_trial(stub: Any) -> None:
    """Who asks learns whether to come again: while others work on the last trials, and after."""
    await stub.CreateStudy(creation(max_trials=2))
    first, second = await ask(stub, 5)
    waiting = await stub.AskTrials(asking())
    assert not waiting.trials and not waiting.done and waiting.retry_after.seconds > 500
    for each in (first, second):
        await stub.TellTrial(telling(each))
    assert (await stub.AskTrials(asking())).done


async def test_a_study_ends_where_everything_was_tried(stub: Any) -> None:
    await stub.CreateStudy(creation(**few(4)))
    trials = await ask(stub, 10)
    assert sorted(each.settings["depth"].integer for each in trials) == [1, 2, 3, 4]
    assert not (await stub.AskTrials(asking())).done
    for each in trials:
        await stub.TellTrial(telling(each))
    assert (await stub.AskTrials(asking())).done


async def test_several_objectives_and_bounds(stub: Any) -> None:
    """The best are those that no other one beats, and that keep within their bounds."""
    await stub.CreateStudy(
        creation(
            objectives=[{"name": "speed", "direction": "DIRECTION_MAXIMIZE"}, {"name": "size"}],
            bounds=[{"name": "heat", "atMost": 90}],
        )
    )
    told = [(5, 1, 80), (9, 9, 90), (4, 2, 10), (99, 0, 91)]
    for trial, (speed, size, heat) in zip(await ask(stub, 4), told, strict=True):
        values = {"speed": speed, "size": size, "heat": heat}
        await stub.TellTrial(study_pb2.TellTrialRequest(name=trial.name, values=values))
    best = await stub.ListBestTrials(study_pb2.ListBestTrialsRequest(parent=STUDY))
    assert [each.values["speed"] for each in best.trials] == [9, 5]


async def test_trials_that_are_worse_than_others_are_given_up(stub: Any) -> None:
    await stub.CreateStudy(creation(pruning={"pruner": "STUDY_PRUNER_MEDIAN", "startupTrials": 2}))
    good, better, bad = await ask(stub, 3)
    for trial, values in ((good, (3, 2)), (better, (2, 1))):
        for step, value in enumerate(values):
            report = study_pb2.ReportTrialRequest(name=trial.name, step=step, value=value)
            assert not (await stub.ReportTrial(report)).should_stop
        await stub.TellTrial(telling(trial, values[-1]))
    report = study_pb2.ReportTrialRequest(name=bad.name, step=0, value=9)
    assert (await stub.ReportTrial(report)).should_stop
    assert (await stub.ReportTrial(report)).should_stop  # its answer may have got lost
    told = await stub.TellTrial(study_pb2.TellTrialRequest(name=bad.name, pruned=True))
    assert told.state == study_pb2.TRIAL_STATE_PRUNED
    assert [(each.step, each.value) for each in told.measurements] == [(0, 9)]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.ReportTrial(report)
    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_study_begins_with_what_is_known(stub: Any) -> None:
    """Trials with values are learned from and cost nothing; those without are tried first."""
    request = creation(max_trials=2)
    for depth in (7, 8):
        trial = request.initial_trials.add()
        trial.settings["depth"].integer = depth
        trial.settings["rate"].number = 0.5
    request.initial_trials[1].values["loss"] = -5
    study = await stub.CreateStudy(request)
    assert study.told_trial_count == 1 and not study.initial_trials
    best = await stub.ListBestTrials(study_pb2.ListBestTrialsRequest(parent=STUDY))
    assert best.trials[0].settings["depth"].integer == 8
    first, second = await ask(stub, 9)
    assert first.settings["depth"].integer == 7
    assert second.name == f"{STUDY}/trials/3"


async def test_viewers_look_and_do_not_touch(store: MemoryStore) -> None:
    async with serving(store) as editor:
        await editor.CreateStudy(creation())
    async with serving(store, Role.VIEWER) as viewer:
        assert (await viewer.GetStudy(study_pb2.GetStudyRequest(name=STUDY))).name == STUDY
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await viewer.AskTrials(asking())
        assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "call",
    [
        ("GetStudy", study_pb2.GetStudyRequest(name="studies/x")),
        ("DeleteStudy", study_pb2.DeleteStudyRequest(name="studies/x")),
        ("AskTrials", asking(study="x")),
        ("ListTrials", study_pb2.ListTrialsRequest(parent="studies/x")),
        ("ListBestTrials", study_pb2.ListBestTrialsRequest(parent="studies/x")),
        ("GetTrial", study_pb2.GetTrialRequest(name="studies/s/trials/7")),
        ("ReportTrial", study_pb2.ReportTrialRequest(name="studies/s/trials/7")),
        ("TellTrial", study_pb2.TellTrialRequest(name="studies/s/trials/7", failure="x")),
        ("TellTrial", study_pb2.TellTrialRequest(name="studies/x/trials/7", failure="x")),
    ],
)
async def test_what_does_not_exist_is_named(stub: Any, call: tuple[str, Any]) -> None:
    await stub.CreateStudy(creation())
    method, request = call
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(stub, method)(request)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    named = getattr(request, "name", "") or request.parent
    words = str(raised.value.details())
    assert named in words or "studies/x" in words

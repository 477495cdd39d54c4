"""Any part of the suite may die or freeze in the middle of a run: the run ends SUCCEEDED."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest

from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.testing.suite import RunningSuite

pytestmark = pytest.mark.slow

EPOCHS = 30
STORE_OUTAGE_SECONDS = 20.0
SEARCH_SECONDS = 40


def specification(version: str, workers: int = 2) -> trainer_pb2.TrainingSpec:
    """Returns a run of a few seconds on two workers that also goes on with one."""
    return trainer_pb2.TrainingSpec(
        dataset_version=version,
        model="models/e2e-faults",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[512, 512])),
        epochs=EPOCHS,
        batch_size=128,
        workers=trainer_pb2.WorkerRange(min=1, wanted=workers),
    )


def follow_until(
    events: Iterator[event_pb2.Event], is_awaited: Callable[[event_pb2.Event], bool]
) -> list[event_pb2.Event]:
    """Reads events up to one that is awaited."""
    seen: list[event_pb2.Event] = []
    for event in events:
        seen.append(event)
        if is_awaited(event):
            return seen
    raise AssertionError(f"the run ended before what is awaited: {seen[-1]}")


def follow_until_epoch(events: Iterator[event_pb2.Event], epoch: int) -> list[event_pb2.Event]:
    """Reads events until that epoch has been reported."""
    return follow_until(events, lambda event: event.metrics.epoch >= epoch)


def kill(process: psutil.Process) -> None:
    """Ends a process as the kernel's out-of-memory killer would."""
    process.send_signal(signal.SIGKILL)


def freeze(process: psutil.Process) -> None:
    """Stops a process without ending it."""
    process.send_signal(signal.SIGSTOP)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process can still do anything: one that only waits to be reaped cannot."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


FAULTS: dict[str, Callable[[RunningSuite, str], None]] = {
    "worker killed": lambda suite, run: kill(suite.workers("agent-1")[0]),
    "worker frozen": lambda suite, run: freeze(suite.workers("agent-2")[0]),
    "agent killed": lambda suite, run: kill(suite.supervised("agent-1")),
    "coordinator killed": lambda suite, run: kill(suite.job(run)),
    "trainer killed": lambda suite, run: kill(suite.supervised("trainer")),
    "catalog killed": lambda suite, run: kill(suite.supervised("catalog")),
    "store killed": lambda suite, run: kill(suite.supervised("store")),
}


CAUSES = {
    "worker killed": event_pb2.CHANGE_CAUSE_WORKER_DIED,
    "worker frozen": event_pb2.CHANGE_CAUSE_WORKER_FROZEN,
    "agent killed": event_pb2.CHANGE_CAUSE_AGENT_LOST,
    "coordinator killed": event_pb2.CHANGE_CAUSE_COORDINATOR_LOST,
}


def take_store_away(suite: RunningSuite) -> None:
    """Freezes the object store for as long as the suite promises to do without it."""
    store = suite.supervised("store")
    freeze(store)
    time.sleep(STORE_OUTAGE_SECONDS)
    with suppress(psutil.NoSuchProcess):  # the supervisor may just have replaced it
        store.send_signal(signal.SIGCONT)


def assert_whole(events: list[event_pb2.Event], run: trainer_pb2.TrainingRun) -> None:
    """Asserts that the run succeeded, its events have no gap, and no epoch is missing or double."""
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    assert [event.sequence for event in events] == list(range(1, run.status.last_sequence + 1))
    reported = [event.metrics.epoch for event in events if "train/loss" in event.metrics.values]
    assert sorted(set(reported)) == list(range(1, EPOCHS + 1))
    assert run.model_version


def assert_accounted(
    events: list[event_pb2.Event],
    run: trainer_pb2.TrainingRun,
    cause: event_pb2.ChangeCause.ValueType | None,
) -> None:
    """Asserts that events and result tell of this one fault and what it cost, or of none."""
    changes = [event.membership_change for event in events if event.membership_change.faults]
    assert [change.cause for change in changes] == ([] if cause is None else [cause])
    total = run.recoveries.total
    assert total.count == total.faults == len(changes)
    assert [each.cause for each in run.recoveries.by_cause] == [each.cause for each in changes]
    for change in changes:
        assert total.total_time == total.worst_time == change.recovery_time
        assert total.total_pause == change.pause
        assert 0 < total.worst_time.ToMilliseconds() < 20_000
        assert total.worst_pause.ToMilliseconds() > 0
        assert 0 <= total.steps_lost == change.steps_lost < 200, "not from the beginning"


@pytest.mark.parametrize("fault", FAULTS)
def test_run_survives(suite: RunningSuite, table_version: str, fault: str) -> None:
    """A run goes on after the death of any part, with every epoch and event accounted for."""
    name = suite.create_run(specification(table_version))
    stream = suite.watch_run(name)
    events = follow_until_epoch(stream, 5)
    FAULTS[fault](suite, name)
    events += stream
    run = suite.get_run(name)
    assert_whole(events, run)
    assert_accounted(events, run, CAUSES.get(fault))


def test_store_away_for_twenty_seconds(suite: RunningSuite, table_version: str) -> None:
    """An object store that is away for a while stops no training and loses no event."""
    name = suite.create_run(specification(table_version))
    stream = suite.watch_run(name)
    events = follow_until_epoch(stream, 5)
    take_store_away(suite)
    events += stream
    run = suite.get_run(name)
    assert_whole(events, run)
    assert run.status.attempt == 1, "the owner outlives the outage, nobody takes over"


def test_search_with_the_store_away_for_twenty_seconds(
    suite: RunningSuite, table_version: str
) -> None:
    """A search goes on without the store, and loses none of its trials and events."""
    spec = tuner_pb2.TuningSpec(dataset_version=table_version, model="models/e2e-store-away")
    spec.budget.FromSeconds(SEARCH_SECONDS)
    name = suite.create_tuning(spec)
    stream = suite.watch_tuning(name)
    events = follow_until(stream, lambda event: event.HasField("metrics"))
    take_store_away(suite)
    events += stream
    run = suite.get_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    assert run.status.attempt == 1, "the owner outlives the outage, nobody takes over"
    assert run.model_version
    assert [event.sequence for event in events] == list(range(1, run.status.last_sequence + 1))
    candidates = suite.tuning.ListCandidates(
        tuner_pb2.ListCandidatesRequest(name=name, page_size=1_000)
    ).candidates
    assert len(candidates) == run.summary.candidate_count


def test_cancelled_run_leaves_no_process(suite: RunningSuite, table_version: str) -> None:
    """Cancel frees the slots: no worker and no coordinator of the run is left."""
    spec = specification(table_version)
    spec.epochs = 100_000
    name = suite.create_run(spec)
    stream = suite.watch_run(name)
    follow_until_epoch(stream, 1)
    processes = [suite.job(name), *suite.workers("agent-1"), *suite.workers("agent-2")]
    assert len(processes) >= 3
    suite.training.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=name))
    last = list(stream)[-1]
    assert last.state_change.state == run_pb2.RUN_STATE_CANCELLED
    assert not [process for process in processes if is_alive(process)]


def test_waits_visibly_for_workers_then_fails(suite: RunningSuite, table_version: str) -> None:
    """A run that asks for more workers than there are says so and ends with the cure."""
    spec = specification(table_version)
    spec.workers.min = spec.workers.wanted = 3
    spec.workers.wait_timeout.FromSeconds(2)
    name = suite.create_run(spec)
    events = list(suite.watch_run(name))
    waiting = [event for event in events if event.WhichOneof("kind") == "membership_change"]
    assert waiting[0].membership_change.workers == 0
    assert "3" in waiting[0].membership_change.reason
    run = suite.get_run(name)
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert "workers" in run.status.error.message


def test_pruning_with_the_store_away_for_twenty_seconds(
    suite: RunningSuite, table_version: str
) -> None:
    """A pruning waits for the store, and loses none of its points and events."""
    wanted = specification(table_version)
    wanted.model, wanted.epochs = "models/e2e-pruned", 5
    model = suite.train(wanted).model_version
    spec = pruner_pb2.PruningSpec(model_version=model, gain=pruner_pb2.GAIN_SIZE)
    spec.budget.FromSeconds(SEARCH_SECONDS * 3)
    name = suite.create_pruning(spec)
    stream = suite.watch_pruning(name)
    events = follow_until(stream, lambda event: "loses" in event.log_line.text)
    take_store_away(suite)
    events += stream
    run = suite.get_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    assert run.status.attempt == 1, "the owner outlives the outage, nobody takes over"
    assert [event.sequence for event in events] == list(range(1, run.status.last_sequence + 1))
    points = suite.pruning.ListPoints(pruner_pb2.ListPointsRequest(name=name)).points
    assert len(points) == run.summary.point_count + 1
    told = [event.log_line.text for event in events if "loses" in event.log_line.text]
    assert len(told) == run.summary.point_count

"""Any part of the suite may die or freeze in the middle of a run: the run ends SUCCEEDED."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress

import grpc
import psutil
import pytest

from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.testing.suite import RunningSuite
from tests.e2e.faults import (
    assert_accounted,
    assert_whole,
    begun,
    follow_until,
    freeze,
    is_alive,
    kill,
    specification,
)

pytestmark = pytest.mark.slow

STORE_OUTAGE_SECONDS = 20.0
SEARCH_SECONDS = 30


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


@pytest.mark.parametrize("fault", FAULTS)
def test_run_survives(suite: RunningSuite, table_version: str, fault: str) -> None:
    """A run goes on after the death of any part, with every epoch and event accounted for."""
    run = begun(suite, specification(table_version))
    FAULTS[fault](suite, run.name)
    events = run.events + list(run.stream)
    ended = suite.get_run(run.name)
    assert_whole(events, ended)
    assert_accounted(events, ended, CAUSES.get(fault))


def test_store_away_for_twenty_seconds(suite: RunningSuite, table_version: str) -> None:
    """An object store that is away for a while stops no training and loses no event."""
    run = begun(suite, specification(table_version))
    take_store_away(suite)
    events = run.events + list(run.stream)
    ended = suite.get_run(run.name)
    assert_whole(events, ended)
    assert_accounted(events, ended, None)
    assert ended.status.attempt == 1, "the owner outlives the outage, nobody takes over"


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
    scored = [each for each in candidates if each.HasField("score")]
    assert len(scored) == run.summary.candidate_count


def test_cancelled_run_leaves_no_process(suite: RunningSuite, table_version: str) -> None:
    """Cancel frees the slots: no worker and no coordinator of the run is left."""
    spec = specification(table_version)
    spec.epochs = 100_000
    run = begun(suite, spec)
    processes = [suite.job(run.name), *suite.workers("agent-1"), *suite.workers("agent-2")]
    assert len(processes) >= 3
    suite.training.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=run.name))
    last = list(run.stream)[-1]
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


def test_no_fault_is_injected_where_the_operator_did_not_allow_it(suite: RunningSuite) -> None:
    """The error names the setting."""
    kind = trainer_pb2.FAULT_KIND_KILL_WORKER
    request = trainer_pb2.InjectFaultRequest(name="trainingRuns/any", kind=kind)
    with pytest.raises(grpc.RpcError, match="AIMASS_TRAINER_FAULT_INJECTION=true"):
        suite.training.InjectFault(request)


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

"""Runs that are disturbed: how they are made, broken and judged."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import pytest
from google.protobuf import duration_pb2

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.testing.suite import RunningSuite

EPOCHS = 30
AFTERMATH = (event_pb2.CHANGE_CAUSE_WORKER_DIED, event_pb2.CHANGE_CAUSE_SILENCE)
"""What may befall the world that follows a fault."""
MOST_RECOVERIES = 3


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


@dataclass
class Begun:
    """A run at work on two workers, with nearly all of its steps still to do.

    Attributes:
        name: Its resource name.
        events: What it has told so far.
        stream: What it goes on to tell.
    """

    name: str
    events: list[event_pb2.Event]
    stream: Iterator[event_pb2.Event]


def begun(suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> Begun:
    """Begins a run, once both agents are back from what was done to them before.

    Events come up to half a second late: whoever waits for more than the first epoch of a run of
    seconds may find it done.
    """
    suite.await_agents()
    name = suite.create_run(spec)
    stream = suite.watch_run(name)
    events = follow_until(stream, lambda event: event.membership_change.workers == 2)
    return Begun(name, events + follow_until_epoch(stream, 1), stream)


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


def assert_whole(
    events: list[event_pb2.Event], run: trainer_pb2.TrainingRun, epochs: int = EPOCHS
) -> None:
    """Asserts that the run succeeded, its events have no gap, and no epoch is missing or double."""
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    assert [event.sequence for event in events] == list(range(1, run.status.last_sequence + 1))
    reported = [event.metrics.epoch for event in events if "train/loss" in event.metrics.values]
    assert sorted(set(reported)) == list(range(1, epochs + 1))
    assert run.model_version


def assert_accounted(
    events: list[event_pb2.Event],
    run: trainer_pb2.TrainingRun,
    cause: event_pb2.ChangeCause.ValueType | None,
) -> None:
    """Asserts that events and result tell of this fault and what it cost, or of none.

    On a busy host the next world may be lost too: Gloo aborts a worker, or all seem frozen. A host
    on which a worker gets no processor for two seconds may lose one for no other cause.
    """
    changes = [event.membership_change for event in events if event.membership_change.faults]
    if cause is None:
        assert {change.cause for change in changes} <= {event_pb2.CHANGE_CAUSE_SILENCE}, changes
    else:
        assert cause in {change.cause for change in changes}, changes
        assert {change.cause for change in changes} <= {cause, *AFTERMATH}, changes
    assert len(changes) <= MOST_RECOVERIES, changes
    total = run.recoveries.total
    assert total.count == len(changes)
    assert total.faults == sum(change.faults for change in changes)
    assert {each.cause for each in run.recoveries.by_cause} == {each.cause for each in changes}
    assert _milliseconds(total.total_time) == pytest.approx(
        sum(_milliseconds(change.recovery_time) for change in changes), abs=1
    )
    assert total.steps_lost == sum(change.steps_lost for change in changes)
    for change in changes:
        assert 0 < _milliseconds(change.recovery_time) <= _milliseconds(total.worst_time) < 20_000
        assert 0 < _milliseconds(change.pause) <= _milliseconds(total.worst_pause)
        assert 0 <= change.steps_lost < 200, "not from the beginning"


def _milliseconds(duration: duration_pb2.Duration) -> float:
    return duration.ToNanoseconds() / 1e6

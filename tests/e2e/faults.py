"""Runs that are disturbed: how they are made, broken and judged."""

import signal
from collections.abc import Callable, Iterator

import psutil

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2

EPOCHS = 30


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

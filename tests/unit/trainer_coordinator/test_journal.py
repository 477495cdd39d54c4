"""What watchers hear, and what they do not hear twice."""

import pytest

from aimass.type.v1 import event_pb2
from common.runs.events import EventKind
from services.trainer.coordinator.journal import Journal


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[EventKind] = []
        self.last: tuple[float, str, float | None] = (0.0, "", None)

    def emit(self, kind: EventKind) -> None:
        self.events.append(kind)

    def progress(
        self, fraction: float, stage: str = "", message: str = "", remaining: float | None = None
    ) -> None:
        self.last = fraction, stage, remaining


def metrics(step: int, name: str = "train/loss") -> event_pb2.Metrics:
    """Metrics of one step."""
    return event_pb2.Metrics(epoch=1, step=step, values={name: 0.5})


def test_steps_done_again_are_not_told_again() -> None:
    """After a fault the workers repeat steps; watchers see each point of a curve once."""
    log = Log()
    journal = Journal(log, 100)
    for step in (10, 20, 10, 20, 30):
        journal.metrics(metrics(step))
    journal.metrics(metrics(20, "validation/loss"))
    assert [(e.step, *e.values) for e in log.events if isinstance(e, event_pb2.Metrics)] == [
        (10, "train/loss"),
        (20, "train/loss"),
        (30, "train/loss"),
        (20, "validation/loss"),
    ]


def test_time_left_is_estimated_from_the_usual_step() -> None:
    """What is left is the steps left times the usual step; unknown before there is one."""
    log = Log()
    journal = Journal(log, 100)
    journal.steps_done(25, 2, None)
    assert log.last[2] is None
    journal.steps_done(50, 2, 0.1)
    fraction, stage, remaining = log.last
    assert 0.4 < fraction <= 0.5
    assert stage == "training"
    assert remaining is not None
    assert abs(remaining - 5.0) < 1e-9


def test_a_bound_on_the_time_counts_as_fewer_steps() -> None:
    """Protects bar and time left of a training that will not come to all its epochs."""
    log = Log()
    journal = Journal(log, 1000, most_seconds=10.0)
    journal.steps_done(50, 2, 0.1)
    fraction, _, remaining = log.last
    assert 0.4 < fraction <= 0.5
    assert remaining == pytest.approx(5.0)


def test_steps_that_compare_uses_of_outliers_are_a_stage_of_their_own() -> None:
    """Watchers see that the model itself is not trained yet, on one bar from start to end."""
    log = Log()
    journal = Journal(log, 100, 80)
    told = []
    for step in (40, 79, 80, 100):
        journal.steps_done(step, 1, None)
        told.append(log.last[:2])
    assert [stage for _, stage in told] == ["proving", "proving", "training", "training"]
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)


def test_last_lines_are_kept_for_the_error() -> None:
    """A run that fails shows what its workers said last."""
    journal = Journal(Log(), 0)
    for number in range(100):
        journal.worker_line(event_pb2.LogLine(source="worker-0", text=f"line {number}"))
    assert journal.last_lines[-1] == "worker-0: line 99"
    assert len(journal.last_lines) == 20

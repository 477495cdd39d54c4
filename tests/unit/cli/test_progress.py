"""The picture of a run, and how it is shown."""

import io
from collections.abc import Iterator

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from rich.console import Console

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common import errors
from common.cli import follow
from common.cli.errors import CommandInterruptedError
from common.cli.progress import RunProgress


def epoch_event(epoch: int, loss: float) -> event_pb2.Event:
    values = {"rows_per_second": 1234.0, "validation/accuracy": 0.9, "train/loss": loss}
    return event_pb2.Event(
        sequence=epoch + 1, metrics=event_pb2.Metrics(epoch=epoch, step=epoch * 10, values=values)
    )


def membership(workers: int, reason: str = "") -> event_pb2.Event:
    change = event_pb2.MembershipChange(workers=workers, reason=reason)
    if reason:
        change.recovery_time.CopyFrom(Duration(nanos=210_000_000))
    return event_pb2.Event(sequence=1, membership_change=change)


def state(value: "run_pb2.RunState.ValueType") -> event_pb2.Event:
    return event_pb2.Event(sequence=9, state_change=event_pb2.StateChange(state=value))


def taken(progress: RunProgress, *events: event_pb2.Event) -> list[str]:
    return [line for event in events for line in progress.take(event)]


def test_summary_says_what_a_person_watches() -> None:
    """Epoch, loss, metric, speed and workers stand in one line."""
    progress = RunProgress(epochs=5)
    taken(progress, membership(2), epoch_event(3, 0.25))
    assert progress.summary() == "epoch 3/5 · loss 0.25 · accuracy 0.9 · 1,234 rows/s"
    assert progress.workers_text() == "2 workers"
    values = {"validation/loss": 0.5}
    taken(progress, event_pb2.Event(metrics=event_pb2.Metrics(epoch=3, values=values)))
    assert "loss 0.25 (validation 0.5)" in progress.summary()


def test_a_search_shows_the_best_so_far() -> None:
    """What a run without epochs says of itself is shown anew with each step."""
    progress = RunProgress()
    for message in ("", "roc_auc 0.9 at best", "roc_auc 0.931 at best"):
        step = run_pb2.Progress(fraction=0.5, stage="searching", message=message)
        assert taken(progress, event_pb2.Event(progress=step)) == ([] if message else ["searching"])
        assert progress.summary() == (message or "searching")


def test_membership_changes_are_lines_with_their_cause_and_cost() -> None:
    """A worker's death is told with the time it cost."""
    progress = RunProgress()
    lines = taken(progress, membership(2), membership(1, "worker 1 was killed by SIGKILL"))
    assert lines == [
        "2 workers",
        "1 worker: worker 1 was killed by SIGKILL; went on after 0.21 s, 0 steps repeated",
    ]
    assert progress.changes[-1].recovery == 0.21


def test_warnings_are_kept_and_chatter_is_not() -> None:
    """Log lines below a warning stay in the log."""
    progress = RunProgress()
    lines = [
        event_pb2.Event(log_line=event_pb2.LogLine(severity=severity, source="worker-0", text="x"))
        for severity in (event_pb2.SEVERITY_INFO, event_pb2.SEVERITY_WARNING)
    ]
    assert taken(progress, *lines) == ["worker-0: x"]


def test_metrics_table_has_a_row_per_epoch_and_leaves_out_the_middle() -> None:
    """A long run's table stays readable."""
    progress = RunProgress()
    taken(progress, *(epoch_event(epoch, 1 / epoch) for epoch in range(1, 101)))
    table = follow.metrics_table(progress, most=10)
    assert table.row_count == 10
    assert [column.header for column in table.columns][:3] == [
        "epoch",
        "train\nloss",
        "validation\naccuracy",
    ]
    assert table.title == "90 epochs in the middle are left out"


class OneRun:
    """A run whose events are known beforehand."""

    def __init__(self, run: trainer_pb2.TrainingRun, events: list[event_pb2.Event]) -> None:
        self._run = run
        self._events = events

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        return self._run

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        yield from self._events


def run_with(status: run_pb2.RunStatus) -> trainer_pb2.TrainingRun:
    return trainer_pb2.TrainingRun(
        name="trainingRuns/a",
        status=status,
        model_version="models/digits/versions/1",
        spec=trainer_pb2.TrainingSpec(epochs=2),
    )


def shown(run: trainer_pb2.TrainingRun, events: list[event_pb2.Event], *, live: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, width=200, force_terminal=live)
    code = follow.follow_or_leave(OneRun(run, events), run.name, console)
    assert code == (0 if run.status.state == run_pb2.RUN_STATE_SUCCEEDED else 1)
    return output.getvalue()


def test_ctrl_c_says_that_the_run_goes_on() -> None:
    """Who leaves is told that nothing was stopped, and how to come back or stop it."""

    class Interrupting(OneRun):
        def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
            yield from self._events
            raise KeyboardInterrupt

    run = run_with(run_pb2.RunStatus(state=run_pb2.RUN_STATE_RUNNING))
    console = Console(file=io.StringIO())
    with pytest.raises(CommandInterruptedError, match="trainingRuns/a goes on") as caught:
        follow.follow_or_leave(Interrupting(run, [membership(1)]), run.name, console)
    assert caught.value.hint == "aimass runs watch trainingRuns/a"
    assert "aimass runs cancel trainingRuns/a" in caught.value.details[0]


def test_without_a_terminal_there_are_plain_lines() -> None:
    """Logs of a job that calls the command hold no control characters."""
    run = run_with(run_pb2.RunStatus(state=run_pb2.RUN_STATE_SUCCEEDED))
    events = [membership(2), epoch_event(1, 0.5), epoch_event(2, 0.25)]
    text = shown(run, [*events, state(run_pb2.RUN_STATE_SUCCEEDED)], live=False)
    assert "\x1b" not in text
    assert "trainingRuns" not in text.splitlines()[0]
    assert "a: 2 workers" in text
    assert "epoch 1/2 · loss 0.5" in text
    assert "epoch 2/2 · loss 0.25" in text
    assert "SUCCEEDED in 0 s: models/digits/versions/1" in text


def test_on_a_terminal_there_is_a_bar() -> None:
    """A person sees one line that is redrawn."""
    run = run_with(run_pb2.RunStatus(state=run_pb2.RUN_STATE_SUCCEEDED))
    text = shown(run, [epoch_event(1, 0.5), state(run_pb2.RUN_STATE_SUCCEEDED)], live=True)
    assert "━" in text
    assert "epoch 1/2" in text


def test_a_failure_tells_why_and_what_helps() -> None:
    """The run's error is shown with fields and the command that helps; the exit code is 1."""
    error = errors.to_status(
        errors.AimassError("Loss is NaN at step 12.", reason="DIVERGED", help_command="aimass logs")
    )
    assert error.code == code_pb2.INTERNAL
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_FAILED, error=error)
    text = shown(run_with(status), [state(run_pb2.RUN_STATE_FAILED)], live=False)
    assert "trainingRuns/a failed after 0 s: Loss is NaN at step 12." in text
    assert "Try: aimass logs" in text

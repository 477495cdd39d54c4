"""What is known of a run while its events arrive."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from aimass.type.v1 import event_pb2, run_pb2
from common.cli import text

_TERMINAL = (
    run_pb2.RUN_STATE_SUCCEEDED,
    run_pb2.RUN_STATE_FAILED,
    run_pb2.RUN_STATE_CANCELLED,
)
_RATE = "rows_per_second"
_TRAINING = "training"


@dataclass(frozen=True)
class Change:
    """A change of a run's workers.

    Attributes:
        workers: Workers afterwards.
        reason: Why.
        recovery: Seconds to the next finished step; None where it does not apply.
        steps_lost: Steps that were done again.
        epoch: Epoch of the newest metrics before it.
    """

    workers: int
    reason: str
    recovery: float | None
    steps_lost: int
    epoch: int


@dataclass
class RunProgress:
    """The picture of a run that its events give.

    Attributes:
        epochs: Epochs it is to take; 0 where it has none.
        state: Its state.
        fraction: Share done, 0 to 1.
        stage: What is being done.
        message: The same as a sentence, for example the best score so far; empty for none.
        remaining: Estimated seconds left; None where unknown.
        workers: Workers now.
        epoch: Epoch of the newest metrics.
        complete_epoch: Last epoch that is known to be complete.
        metrics: The newest value of each metric.
        by_epoch: Metrics of each epoch, by epoch.
        changes: Changes of the workers.
    """

    epochs: int = 0
    state: "run_pb2.RunState.ValueType" = run_pb2.RUN_STATE_PENDING
    fraction: float = 0.0
    stage: str = ""
    message: str = ""
    remaining: float | None = None
    workers: int = 0
    epoch: int = 0
    complete_epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    by_epoch: dict[int, dict[str, float]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def take(self, event: event_pb2.Event) -> Iterator[str]:
        """Takes an event in.

        Yields:
            Lines that are worth keeping on the screen.
        """
        kind = event.WhichOneof("kind")
        if kind == "state_change":
            yield from self._take_state(event.state_change)
        elif kind == "progress":
            yield from self._take_progress(event.progress)
        elif kind == "metrics":
            self._take_metrics(event.metrics)
        elif kind == "membership_change":
            yield self._take_membership(event.membership_change)
        elif kind == "log_line" and event.log_line.severity >= event_pb2.SEVERITY_WARNING:
            yield f"{event.log_line.source}: {event.log_line.text}"

    def summary(self) -> str:
        """Returns the newest values in one line."""
        if not self.epoch:
            return self.message or self.stage or self._state_word()
        is_training = self.stage in ("", _TRAINING)
        parts = [] if is_training else [self.stage]
        parts += [self._epoch_text(), self._loss_text(), self._accuracy_text()]
        if is_training and _RATE in self.metrics:
            parts.append(f"{self.metrics[_RATE]:,.0f} rows/s")
        return " · ".join(part for part in parts if part)

    def workers_text(self) -> str:
        """Returns the number of workers; empty before there were any."""
        return text.count(self.workers, "worker") if self.changes else ""

    @property
    def ended(self) -> bool:
        """Whether the run is in a terminal state."""
        return self.state in _TERMINAL

    def _epoch_text(self) -> str:
        return f"epoch {self.epoch}/{self.epochs}" if self.epochs else f"epoch {self.epoch}"

    def _loss_text(self) -> str:
        trained, validated = self._short("train/loss"), self._short("validation/loss")
        if trained and validated:
            return f"loss {trained} (validation {validated})"
        return f"loss {trained or validated}" if trained or validated else ""

    def _accuracy_text(self) -> str:
        accuracy = self._short("validation/accuracy") or self._short("train/accuracy")
        return f"accuracy {accuracy}" if accuracy else ""

    def _short(self, metric: str) -> str:
        return text.number(self.metrics[metric], digits=3) if metric in self.metrics else ""

    def _state_word(self) -> str:
        return text.enum_word(run_pb2.RunState.Name(self.state), "RUN_STATE_")

    def _take_state(self, change: event_pb2.StateChange) -> Iterator[str]:
        self.state = change.state
        if change.message and not self.ended:
            yield change.message

    def _take_progress(self, progress: run_pb2.Progress) -> Iterator[str]:
        self.fraction = progress.fraction
        has_remaining = progress.HasField("remaining")
        self.remaining = text.span(progress.remaining) if has_remaining else None
        self.message = progress.message
        if progress.stage != self.stage:
            self.stage = progress.stage
            yield progress.message or progress.stage

    def _take_metrics(self, metrics: event_pb2.Metrics) -> None:
        self.epoch = metrics.epoch or self.epoch
        self.metrics.update(metrics.values)
        if not metrics.epoch:
            return
        self.by_epoch.setdefault(metrics.epoch, {}).update(metrics.values)
        # What is measured on validation rows is measured once an epoch, at its end.
        at_end = any(name.startswith("validation/") for name in metrics.values)
        complete = metrics.epoch if at_end else metrics.epoch - 1
        self.complete_epoch = max(self.complete_epoch, complete)

    def _take_membership(self, change: event_pb2.MembershipChange) -> str:
        self.workers = change.workers
        has_time = change.HasField("recovery_time")
        recovery = text.span(change.recovery_time) if has_time else None
        self.changes.append(
            Change(change.workers, change.reason, recovery, change.steps_lost, self.epoch)
        )
        line = text.count(change.workers, "worker")
        if change.reason:
            line += f": {change.reason}"
        if recovery is not None:
            line += f"; went on after {text.seconds(recovery)}"
            line += f", {text.count(change.steps_lost, 'step')} repeated"
        return line

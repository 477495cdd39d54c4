"""What the run's watchers hear: metrics, log lines, membership, progress."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from aimass.type.v1 import event_pb2
from common.runs.events import EventKind
from services.trainer.coordinator.recovery import Recoveries

_KEPT_LINES = 20
_TRAINING_SHARE = 0.97


class RunLog(Protocol):
    """The part of a run's owner that takes news."""

    def emit(self, kind: EventKind) -> None:
        """Stores an event."""

    def progress(
        self, fraction: float, stage: str = "", message: str = "", remaining: float | None = None
    ) -> None:
        """Tells how far the run has come."""


class Journal:
    """Passes on news of the workers, and tells what happened twice only once.

    Attributes:
        recoveries: What faults cost so far. It is made of what is told, so that the run's events
            are the record of it: nothing else has to outlive this process.
    """

    def __init__(
        self,
        log: RunLog,
        total_steps: int,
        proof_steps: int = 0,
        most_seconds: float | None = None,
    ) -> None:
        """Wraps a run's log.

        Args:
            log: Takes the news.
            total_steps: Steps of the whole run, without early stopping; 0 where not known.
            proof_steps: Of these, steps that come first and only compare uses of an outlier scan.
            most_seconds: That training may take; None for no bound.
        """
        self._most_seconds = most_seconds
        self._total_steps = total_steps
        self._proof_steps = proof_steps
        self._fraction = 0.0
        self._log = log
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._newest: dict[frozenset[str], int] = {}
        self.recoveries = Recoveries()

    @property
    def last_lines(self) -> Sequence[str]:
        """The newest log lines of workers."""
        return tuple(self._lines)

    def remember(self, events: Iterable[event_pb2.Event]) -> None:
        """Takes note of what earlier attempts have told, in order."""
        for event in events:
            if event.HasField("metrics"):
                self._newest[frozenset(event.metrics.values)] = event.metrics.step
            elif event.HasField("membership_change"):
                self.recoveries.note(event.membership_change)

    @property
    def newest_step(self) -> int:
        """Newest step of which anything was told; -1 where there is none."""
        return max(self._newest.values(), default=-1)

    def metrics(self, metrics: event_pb2.Metrics) -> None:
        """Passes on measured values; those of steps that were done again are left out."""
        names = frozenset(metrics.values)
        if metrics.step > self._newest.get(names, -1):
            self._newest[names] = metrics.step
            self._log.emit(metrics)

    def worker_line(self, line: event_pb2.LogLine) -> None:
        """Passes on a worker's log line."""
        self._lines.append(f"{line.source}: {line.text}")
        self._log.emit(line)

    def say(
        self, text: str, severity: event_pb2.Severity.ValueType = event_pb2.SEVERITY_INFO
    ) -> None:
        """Emits a log line of the coordinator's."""
        self._log.emit(event_pb2.LogLine(severity=severity, source="coordinator", text=text))

    def warn(self, text: str) -> None:
        """Emits a warning of the coordinator's."""
        self.say(text, event_pb2.SEVERITY_WARNING)

    def membership(self, change: event_pb2.MembershipChange) -> None:
        """Tells that the set of workers changed."""
        self.recoveries.note(change)
        self._log.emit(change)

    def waiting(self, world: int, reason: str) -> None:
        """Tells that the run waits for workers.

        Args:
            world: Number of the last world.
            reason: Why, and for how many.
        """
        cause = event_pb2.CHANGE_CAUSE_WAITING
        self.membership(event_pb2.MembershipChange(world=world, reason=reason, cause=cause))
        self.stage(self._fraction, "waiting", reason)

    def stage(self, fraction: float, stage: str, message: str = "") -> None:
        """Tells what is being done outside of training."""
        self._fraction = fraction
        self._log.progress(fraction, stage, message)

    def steps_done(self, step: int, workers: int, step_seconds: float | None) -> None:
        """Tells how far training has come.

        Args:
            step: Steps done since the start of the run.
            workers: Workers at work.
            step_seconds: Usual time of a step; None while it is not known.
        """
        if not self._total_steps:
            return
        total = self._expected_steps(step_seconds)
        left = max(total - step, 0)
        remaining = None if step_seconds is None else left * step_seconds
        self._fraction = _TRAINING_SHARE * min(step / total, 1.0)
        word = "worker" if workers == 1 else "workers"
        # Folds of groups are uneven: a compared model may take more steps than was foretold.
        message = f"step {step} of {max(step, total)} on {workers} {word}"
        stage = "proving" if step < self._proof_steps else "training"
        self._log.progress(self._fraction, stage, message, remaining)

    def _expected_steps(self, step_seconds: float | None) -> int:
        """Returns how many steps there will be, as far as is known."""
        if self._most_seconds is None or not step_seconds:
            return self._total_steps
        return max(min(self._total_steps, int(self._most_seconds / step_seconds)), 1)

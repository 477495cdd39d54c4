"""What faults cost a run: from what went wrong to the next finished step, and the sum of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from google.protobuf import duration_pb2

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from services.trainer.coordinator.world import Cause, Verdict, World

_CAUSES = {
    Cause.WORKER_ENDED: event_pb2.CHANGE_CAUSE_WORKER_DIED,
    Cause.PEER_LOST: event_pb2.CHANGE_CAUSE_WORKER_DIED,
    Cause.WORKER_STOPPED: event_pb2.CHANGE_CAUSE_WORKER_FROZEN,
    Cause.SILENCE: event_pb2.CHANGE_CAUSE_SILENCE,
    Cause.AGENT_LOST: event_pb2.CHANGE_CAUSE_AGENT_LOST,
    Cause.PLANNED: event_pb2.CHANGE_CAUSE_PLANNED,
}


@dataclass(frozen=True)
class Change:
    """Why there is a new world. It is over when that one has finished a step.

    Attributes:
        reason: For a person.
        cause: The kind of cause.
        noticed_at: When the world before was over, in seconds of the monotonic clock.
        newest_step: Newest step of the world before.
        stepped_at: When that was finished; None where there was none.
        faults: Faults that came one upon the other; 0 for a planned change.
        then: What went wrong last, where that is not the reason itself.
    """

    reason: str
    cause: event_pb2.ChangeCause.ValueType
    noticed_at: float
    newest_step: int
    stepped_at: float | None = None
    faults: int = 1
    then: str = ""

    @classmethod
    def of(cls, world: World, verdict: Verdict, before: "Change | None") -> "Change":
        """Returns why a world is followed by another.

        Args:
            world: The world that is over.
            verdict: Why it is over; not because it has finished.
            before: Why it was there. Where it finished no step, that is not over yet.
        """
        cause = _CAUSES[verdict.cause]
        faults = int(verdict.cause is not Cause.PLANNED)
        if before is None or world.made_progress:
            return cls(
                verdict.reason,
                cause,
                verdict.noticed_at,
                world.newest_step,
                # Of steps done before the fault some are heard of after it.
                None if world.stepped_at is None else min(world.stepped_at, verdict.noticed_at),
                faults,
            )
        if before.faults == 0:
            return replace(before, reason=verdict.reason, cause=cause, faults=faults)
        return replace(before, faults=before.faults + faults, then=verdict.reason)

    def seen(self, step: int, at: float) -> "Change":
        """Returns the change with a step of the world before that only its agent knew of.

        Args:
            step: The step.
            at: When the agent told of it.
        """
        if step <= self.newest_step:
            return self
        if self.cause != event_pb2.CHANGE_CAUSE_COORDINATOR_LOST:
            at = min(at, self.noticed_at)  # workers without a coordinator go on, others do not
        return replace(self, newest_step=step, stepped_at=at)

    def event(self, world: World, at: float) -> event_pb2.MembershipChange:
        """Returns the event that tells of the new world.

        Args:
            world: The new world.
            at: When it finished its first step.
        """
        reason = f"{self.reason}; then {self.then}" if self.then else self.reason
        change = event_pb2.MembershipChange(
            world=world.number,
            workers=len(world.seats),
            reason=reason,
            steps_lost=max(self.newest_step - max(world.from_step, 0), 0),
            agents=world.agents,
            cause=self.cause,
            faults=self.faults,
        )
        _set_seconds(change.recovery_time, at - self.noticed_at)
        if self.stepped_at is not None:
            _set_seconds(change.pause, at - self.stepped_at)
        return change


def opening(world: World) -> event_pb2.MembershipChange:
    """Returns the event that tells of a run's first world."""
    return event_pb2.MembershipChange(
        world=world.number,
        workers=len(world.seats),
        reason="the run begins",
        agents=world.agents,
        cause=event_pb2.CHANGE_CAUSE_STARTED,
    )


class Recoveries:
    """Adds up what faults cost a run, over all its attempts."""

    def __init__(self) -> None:
        """Starts without any."""
        self._sums: dict[event_pb2.ChangeCause.ValueType, trainer_pb2.RecoverySum] = {}

    @property
    def count(self) -> int:
        """Number of recoveries."""
        return sum(each.count for each in self._sums.values())

    def note(self, change: event_pb2.MembershipChange) -> None:
        """Takes a change of membership; one without a fault counts for nothing."""
        if change.faults == 0:
            return
        fresh = trainer_pb2.RecoverySum(cause=change.cause)
        entry = self._sums.setdefault(change.cause, fresh)
        single = trainer_pb2.RecoverySum(
            count=1,
            faults=change.faults,
            total_time=change.recovery_time,
            worst_time=change.recovery_time,
            total_pause=change.pause,
            worst_pause=change.pause,
            steps_lost=change.steps_lost,
        )
        _add(entry, single)

    def report(self) -> trainer_pb2.RecoveryReport:
        """Returns the sums by cause, and all together."""
        by_cause = [entry for _, entry in sorted(self._sums.items())]
        return trainer_pb2.RecoveryReport(total=_total(by_cause), by_cause=by_cause)


def _total(sums: Iterable[trainer_pb2.RecoverySum]) -> trainer_pb2.RecoverySum:
    total = trainer_pb2.RecoverySum()
    for each in sums:
        _add(total, each)
    return total


def _add(entry: trainer_pb2.RecoverySum, other: trainer_pb2.RecoverySum) -> None:
    entry.count += other.count
    entry.faults += other.faults
    entry.steps_lost += other.steps_lost
    for total, worst, more, most in (
        (entry.total_time, entry.worst_time, other.total_time, other.worst_time),
        (entry.total_pause, entry.worst_pause, other.total_pause, other.worst_pause),
    ):
        total.FromNanoseconds(total.ToNanoseconds() + more.ToNanoseconds())
        worst.FromNanoseconds(max(worst.ToNanoseconds(), most.ToNanoseconds()))


def _set_seconds(duration: duration_pb2.Duration, seconds: float) -> None:
    duration.FromMicroseconds(round(max(seconds, 0.0) * 1e6))

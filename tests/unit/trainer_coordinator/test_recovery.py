"""What a fault cost, and the sum of it over all attempts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.recovery import Change, Recoveries
from services.trainer.coordinator.world import Cause, Seat, Verdict, World
from tests.unit.trainer_coordinator.test_journal import Log

KILLED = Verdict(Cause.WORKER_ENDED, "worker 1 was killed by SIGKILL", 12.0)
DIED = event_pb2.CHANGE_CAUSE_WORKER_DIED


def world(number: int, from_step: int, *steps: tuple[int, float]) -> World:
    """A world of one worker that finished steps at these times."""
    made = World(number, [Seat(0, "a", 0)], from_step, sign_at=0.0)
    for beat, (step, at) in enumerate(steps, start=1):
        progress = agents_pb2.WorldProgress(world=number, steps=[step], beats=[beat])
        made.note_progress("a", progress, at)
    return made


def test_recovery_is_told_with_what_it_cost() -> None:
    """From noticing, and from the last step before: two times, and the steps done again."""
    change = Change.of(world(1, 0, (1, 2.0), (17, 11.5)), KILLED, None)
    told = change.event(world(2, 10, (11, 12.5)), 12.5)
    assert told.recovery_time.ToTimedelta().total_seconds() == pytest.approx(0.5)
    assert told.pause.ToTimedelta().total_seconds() == pytest.approx(1.0)
    assert (told.steps_lost, told.faults, told.cause) == (7, 1, DIED)


def test_step_that_was_heard_of_late_was_done_before_the_fault() -> None:
    """The pause holds the recovery, whatever order the news came in."""
    change = Change.of(world(1, 0, (1, 2.0), (17, 12.1)), KILLED, None)
    told = change.event(world(2, 10, (11, 12.5)), 12.5)
    assert told.pause == told.recovery_time


def test_fault_before_the_next_step_prolongs_the_recovery() -> None:
    """A world that dies young does not hide what the first fault cost."""
    first = Change.of(world(1, 0, (17, 11.5)), KILLED, None)
    frozen = Verdict(Cause.WORKER_STOPPED, "worker 0 is frozen", 14.0)
    second = Change.of(world(2, 10), frozen, first)
    told = second.event(world(3, 10, (11, 15.0)), 15.0)
    assert (told.cause, told.faults, told.steps_lost) == (DIED, 2, 7)
    assert told.recovery_time.ToTimedelta().total_seconds() == pytest.approx(3.0)
    assert told.reason == f"{KILLED.reason}; then worker 0 is frozen"


def test_planned_change_is_no_fault_until_one_comes() -> None:
    """Agents that come and go cost no recovery; a fault meanwhile has its own cause."""
    joined = Verdict(Cause.PLANNED, "agent-2 joined", 12.0)
    planned = Change.of(world(1, 0, (17, 11.5)), joined, None)
    assert planned.faults == 0
    assert Change.of(world(2, 17), KILLED, planned).cause == DIED
    recoveries = Recoveries()
    recoveries.note(planned.event(world(2, 17, (18, 12.5)), 12.5))
    assert recoveries.count == 0


def test_step_that_only_the_agent_knew_of_counts() -> None:
    """Workers whose coordinator died go on for a while; what they did is lost with them."""
    lost = Change("gone", event_pb2.CHANGE_CAUSE_COORDINATOR_LOST, 12.0, 100, 10.0)
    assert lost.seen(90, 11.0) == lost
    assert lost.seen(130, 12.2) == replace(lost, newest_step=130, stepped_at=12.2)
    killed = replace(lost, cause=DIED)
    assert killed.seen(130, 12.2) == replace(lost, cause=DIED, newest_step=130, stepped_at=12.0)


changes = st.builds(
    event_pb2.MembershipChange,
    cause=st.sampled_from([DIED, event_pb2.CHANGE_CAUSE_SILENCE]),
    faults=st.integers(0, 3),
    steps_lost=st.integers(0, 100),
)


@given(st.lists(changes, max_size=10), st.integers(0, 10))
def test_sum_survives_the_coordinator(told: list[event_pb2.MembershipChange], cut: int) -> None:
    """The next attempt comes to the same sum from the run's events."""
    alone, first, second = Journal(Log(), 0), Log(), Journal(Log(), 0)
    journal = Journal(first, 0)
    for change in told:
        alone.membership(change)
    for change in told[:cut]:
        journal.membership(change)
    kept = [each for each in first.events if isinstance(each, event_pb2.MembershipChange)]
    second.remember(event_pb2.Event(membership_change=each) for each in kept)
    for change in told[cut:]:
        second.membership(change)
    assert second.recoveries.report() == alone.recoveries.report()
    report = second.recoveries.report()
    assert report.total.count == sum(change.faults > 0 for change in told)
    assert report.total.steps_lost == sum(each.steps_lost for each in report.by_cause)

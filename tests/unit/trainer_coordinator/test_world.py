"""How a world is judged."""

import signal

import pytest

from aimass.trainer.v1 import agents_pb2
from services.trainer.coordinator.world import Cause, Seat, World, judge

LIMIT = 5.0


def world_of_two(from_step: int = -1) -> World:
    """Two workers, one on each agent."""
    return World(1, [Seat(0, "a", 0), Seat(1, "b", 0)], from_step, sign_at=0.0)


def progress(
    step: int, beat: int, *, settled: bool = False, stopped: bool = False
) -> agents_pb2.WorldProgress:
    """A report of an agent with one worker."""
    report = agents_pb2.WorldProgress(world=1, steps=[step], beats=[beat], settled=settled)
    if stopped:
        report.stopped.append(0)
    return report


def cause(world: World, now: float = 1.0, missing: dict[str, str] | None = None) -> Cause | None:
    """The kind of cause for which the world is over."""
    verdict = judge(world, missing or {}, now, LIMIT)
    return verdict.cause if verdict else None


def exit_with(world: World, rank: int, code: int) -> None:
    """A worker ends."""
    world.note_exit(agents_pb2.WorkerExited(world=1, rank=rank, exit_code=code))


def finish(world: World, rank: int) -> None:
    """A worker says that training is complete, and ends."""
    finished = agents_pb2.TrainingFinished(step=9)
    world.note_report(agents_pb2.WorkerReport(world=1, rank=rank, finished=finished))
    exit_with(world, rank, 0)


def test_complete_only_when_all_have_finished() -> None:
    """One finished worker is not enough."""
    world = world_of_two()
    finish(world, 0)
    assert cause(world) is None
    finish(world, 1)
    assert cause(world) is Cause.FINISHED


def test_exit_without_a_word_is_a_fault() -> None:
    """Exit code 0 before training is complete counts as the end of a worker."""
    world = world_of_two()
    exit_with(world, 1, 0)
    assert cause(world) is Cause.WORKER_ENDED


def test_killed_worker_explains_those_that_lost_it() -> None:
    """The reason names the worker that was killed, not its peer, whatever comes first."""
    world = world_of_two()
    exit_with(world, 0, 3)
    assert cause(world) is Cause.PEER_LOST
    exit_with(world, 1, -signal.SIGKILL)
    verdict = judge(world, {}, 1.0, LIMIT)
    assert verdict is not None
    assert verdict.reason == "worker 1 was killed by SIGKILL"


def test_aborted_peer_does_not_hide_the_killed_worker() -> None:
    """Gloo may abort a process that lost its peer; SIGKILL is still named as the cause."""
    world = world_of_two()
    exit_with(world, 0, -signal.SIGABRT)
    exit_with(world, 1, -signal.SIGKILL)
    verdict = judge(world, {}, 1.0, LIMIT)
    assert verdict is not None
    assert "worker 1" in verdict.reason


def test_silence_of_all_is_a_freeze_not_of_one() -> None:
    """While one worker validates, the others wait for it: the world is alive."""
    world = world_of_two()
    world.note_progress("a", progress(1, 1), 1.0)
    world.note_progress("b", progress(1, 1), 1.0)
    for now in range(2, 20):
        world.note_progress("a", progress(1, now), float(now))
        assert cause(world, float(now)) is None
    assert cause(world, 19.0 + LIMIT) is None
    assert cause(world, 19.1 + LIMIT) is Cause.SILENCE


def test_repeated_report_is_no_sign_of_life() -> None:
    """Only a beat that has changed counts."""
    world = world_of_two()
    world.note_progress("a", progress(1, 1), 1.0)
    world.note_progress("a", progress(1, 1), 10.0)
    assert world.sign_at == 1.0


def test_stopped_worker_is_found_and_forgiven() -> None:
    """A worker stopped by a signal ends the world; one that goes on again does not."""
    world = world_of_two()
    world.note_progress("b", progress(1, 1, stopped=True), 1.0)
    assert cause(world) is Cause.WORKER_STOPPED
    world.note_progress("b", progress(2, 2), 1.1)
    assert cause(world) is None


def test_failed_training_comes_before_everything() -> None:
    """What cannot go on is not tried again because a worker ended too."""
    world = world_of_two()
    exit_with(world, 1, 4)
    failed = agents_pb2.TrainingFailed(reason="DIVERGED", message="NaN at step 3")
    world.note_report(agents_pb2.WorkerReport(world=1, rank=1, failed=failed))
    verdict = judge(world, {"a": "is gone"}, 1.0, LIMIT)
    assert verdict is not None
    assert (verdict.cause, verdict.reason) == (Cause.TRAINING_FAILED, "NaN at step 3")


def test_missing_agent_is_no_fault_of_the_workers() -> None:
    """The loss of an agent is not counted against the run."""
    verdict = judge(world_of_two(), {"b": "is gone"}, 1.0, LIMIT)
    assert verdict is not None
    assert verdict.reason == "b is gone"
    assert not verdict.is_fault


@pytest.mark.parametrize("from_step", [-1, 40])
def test_steps_are_counted(from_step: int) -> None:
    """The world knows its newest step, and how far a report brought it."""
    world = world_of_two(from_step)
    start = max(from_step, 0)
    assert not world.made_progress
    assert world.note_progress("a", progress(-1, 1), 1.0) == 0
    assert world.note_progress("a", progress(start + 3, 4), 2.0) == 3
    assert world.note_progress("b", progress(start + 2, 3), 2.0) == 0
    assert world.newest_step == start + 3
    assert world.first_step_at == 2.0


def test_settled_is_what_a_worker_says() -> None:
    """A commit of the usual kind does not count as the answer to a request for one."""
    world = world_of_two(5)
    usual = progress(10, 1)
    usual.commit.step = 10
    world.note_progress("a", usual, 1.0)
    assert not world.settled
    world.note_progress("b", progress(10, 2, settled=True), 1.0)
    assert world.settled == {"b"}

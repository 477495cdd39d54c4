"""When a run whose workers die again and again ends."""

from aimass.trainer.v1 import agents_pb2
from services.trainer.coordinator.endurance import Endurance
from services.trainer.coordinator.world import Cause, Seat, Verdict, World

KILLED = Verdict(Cause.WORKER_ENDED, "worker 0 ended", 1.0)
GONE = Verdict(Cause.AGENT_LOST, "a is gone", 1.0)


def world(from_step: int, to_step: int) -> World:
    """A world of one worker that came so far."""
    made = World(1, [Seat(0, "a", 0)], from_step, sign_at=0.0)
    if to_step > from_step:
        progress = agents_pb2.WorldProgress(world=1, steps=[to_step], beats=[1])
        made.note_progress("a", progress, 0.0)
    return made


def test_five_worlds_without_a_step_are_too_many() -> None:
    """What fails before its first step is tried five times, with longer and longer pauses."""
    endurance = Endurance()
    assert [endurance.note(world(10, 10), KILLED) for _ in range(5)] == [0, 0, 0, 0, 5]
    assert endurance.pause_seconds > 1.0


def test_death_at_every_step_ends_the_run() -> None:
    """Committed or not: a run that comes one step further each time does not go on for ever."""
    for gain in (0, 1):
        endurance = Endurance()
        ends = [endurance.note(world(step * gain, step * gain + 1), KILLED) for step in range(20)]
        assert ends == [0] * 19 + [20]


def test_faults_of_a_run_that_comes_further_never_end_it() -> None:
    """A thousand kills are no reason to fail, nor are agents that come and go."""
    endurance = Endurance()
    assert not any(endurance.note(world(5 * n, 5 * n + 9), KILLED) for n in range(1000))
    assert not any(endurance.note(world(0, 0), GONE) for _ in range(1000))

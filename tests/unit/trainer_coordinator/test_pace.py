"""How long a silence is normal."""

from services.trainer.coordinator.pace import CEILING_SECONDS, FACTOR, FLOOR_SECONDS, Pace


def paced(step_seconds: float, steps: int = 40) -> Pace:
    """A pace that has seen steps of that length."""
    pace = Pace()
    for index in range(steps + 1):
        pace.note_steps(1, index * step_seconds)
    return pace


def test_first_step_may_take_long() -> None:
    """Before the usual step is known, only the ceiling holds."""
    assert Pace().silence_limit(True) == CEILING_SECONDS
    assert paced(0.01).silence_limit(False) == CEILING_SECONDS


def test_limit_follows_the_usual_step_between_floor_and_ceiling() -> None:
    """Short steps do not make the watchdog nervous, long ones do not make it blind."""
    assert paced(0.001).silence_limit(True) == FLOOR_SECONDS
    assert abs(paced(1.0).silence_limit(True) - FACTOR) < 1e-6
    assert paced(100.0).silence_limit(True) == CEILING_SECONDS


def test_several_steps_in_one_report() -> None:
    """Agents report every 20 ms: the time is shared by the steps between."""
    pace = Pace()
    pace.note_steps(1, 0.0)
    pace.note_steps(10, 1.0)
    assert pace.step_seconds == 0.1


def test_start_of_a_world_is_no_step() -> None:
    """The time from the last step of a world to the first of the next does not count."""
    pace = paced(0.1)
    pace.begin_world()
    pace.note_steps(1, 1000.0)
    assert pace.step_seconds is not None
    assert abs(pace.step_seconds - 0.1) < 1e-6


def test_alarms_make_patient_until_steps_flow_again() -> None:
    """A slow host is not replaced again and again: each alarm doubles the limit."""
    pace = paced(0.01)
    pace.note_alarm()
    for index in range(5):
        pace.note_steps(1, 100 + index * 0.01)
    assert pace.silence_limit(True) == 2 * FLOOR_SECONDS
    for index in range(40):
        pace.note_steps(1, 200 + index * 0.01)
    assert pace.silence_limit(True) == FLOOR_SECONDS

"""Which agents make up a world."""

from services.trainer.coordinator import crew as crews
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.members import SILENCE_SECONDS, Member
from services.trainer.coordinator.world import Seat, World

SIZE = CrewSize(1, 2, 3, 60.0)


def member(
    name: str, commit_step: int = -1, slots: int = 1, world: int = 0, *, leaving: bool = False
) -> Member:
    """An agent that was heard at time 0."""
    return Member(
        name,
        slots,
        "lo",
        commit_step=commit_step,
        world=world,
        ready_slots=slots,
        is_leaving=leaving,
        heard_at=0.0,
    )


def running_world() -> World:
    """A world of two that has finished a step."""
    world = World(5, [Seat(0, "a", 0), Seat(1, "b", 0)], 0, sign_at=0.0)
    world.first_step_at = 1.0
    return world


def test_newest_commit_comes_first() -> None:
    """Rank 0 is where the newest commit is, for it is what all others get."""
    chosen = crews.choose([member("a", 10), member("b", 30), member("c", 20)], 2)
    assert [one.id for one in chosen] == ["b", "c"]


def test_last_keeper_of_the_newest_commit_saves_it() -> None:
    """Whoever goes with what neither another agent nor the store has must store it first."""
    going, staying = member("a", 30, leaving=True), member("b", 20)
    assert crews.last_keeper([staying, going], 25, 0.0) is going
    assert crews.last_keeper([staying, going], 30, 0.0) is None
    assert crews.last_keeper([member("b", 30), going], 25, 0.0) is None
    assert crews.last_keeper([going], 25, SILENCE_SECONDS + 1) is None
    assert crews.last_keeper([member("a", -1, leaving=True)], -1, 0.0) is None


def test_seats_are_in_horovod_order_and_limited() -> None:
    """Ranks run through the hosts; the last host gives only what is still needed."""
    parts = crews.hosts([member("a", slots=2), member("b", slots=4)], 3)
    assert [(part.name, part.slots) for part in parts] == [("a", 2), ("b", 1)]
    assert crews.seats(parts) == [Seat(0, "a", 0), Seat(1, "a", 1), Seat(2, "b", 0)]


def test_joined_agent_is_worth_a_new_world_up_to_max() -> None:
    """Growth ends at `max`, and an agent of the world is no newcomer."""
    there = [member("a", world=5), member("b", world=5)]
    assert crews.planned_change(running_world(), there, SIZE, 0.0) == ""
    assert crews.planned_change(running_world(), [*there, member("c")], SIZE, 0.0) == "c joined"
    full = CrewSize(1, 2, 2, 60.0)
    assert crews.planned_change(running_world(), [*there, member("c")], full, 0.0) == ""


def test_agent_that_leaves_is_worth_a_new_world() -> None:
    """An agent that leaves, or that another run needs, is let go after a commit."""
    there = [member("a", world=5), member("b", world=5, leaving=True)]
    assert crews.planned_change(running_world(), there, SIZE, 0.0) == "b leaves"
    there[1].is_leaving = False
    there[1].is_wanted_back = True
    assert crews.planned_change(running_world(), there, SIZE, 0.0) == "b is needed by another run"


def test_nothing_changes_before_the_first_step() -> None:
    """A world is not replaced for a better one before it got anywhere."""
    world = World(5, [Seat(0, "a", 0)], 0, sign_at=0.0)
    assert crews.planned_change(world, [member("a", world=5), member("c")], SIZE, 0.0) == ""


def test_who_is_usable() -> None:
    """Busy, silent, leaving and cold agents start no workers."""
    assert member("a").is_usable(0.0)
    assert not member("a", world=3).is_usable(0.0)
    assert not member("a", leaving=True).is_usable(0.0)
    assert not member("a", slots=0).is_usable(0.0)
    assert not member("a").is_usable(SILENCE_SECONDS + 0.1)

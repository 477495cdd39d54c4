"""Who gets which agents."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.trainer.pool.allocation import Demand, Place, allocate


def demand(run: str, least: int, wanted: int, most: int, priority: int) -> Demand:
    """A demand whose coordinator does not matter."""
    return Demand(run, 1, "127.0.0.1:1", "token", least, wanted, most, priority)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Place], list[Demand]]:
    """Up to six agents, some of them at work, and up to four demands."""
    runs = [f"run-{index}" for index in range(draw(st.integers(0, 4)))]
    demands = []
    for priority, run in enumerate(draw(st.permutations(runs))):
        least = draw(st.integers(1, 4))
        wanted = draw(st.integers(least, 5))
        demands.append(demand(run, least, wanted, draw(st.integers(wanted, 7)), priority))
    places = [
        Place(f"agent-{index}", draw(st.integers(0, 3)), draw(st.sampled_from(["", "gone", *runs])))
        for index in range(draw(st.integers(0, 6)))
    ]
    return places, demands


def slots_of(run: str, places: Sequence[Place], runs: dict[str, str]) -> int:
    """Slots that a run has after the allocation."""
    return sum(place.slots for place in places if runs[place.agent] == run)


def apply(places: Sequence[Place], runs: dict[str, str]) -> list[Place]:
    """The situation once everybody has moved."""
    return [Place(place.agent, place.slots, runs[place.agent]) for place in places]


@given(situations())
def test_no_run_is_pushed_below_what_it_wants(
    situation: tuple[list[Place], list[Demand]],
) -> None:
    """An agent is taken from a run only where that keeps all it wants."""
    places, demands = situation
    runs = allocate(places, demands)
    for asked in demands:
        before = sum(place.slots for place in places if place.run == asked.run)
        assert slots_of(asked.run, places, runs) >= min(before, asked.wanted)


@given(situations())
def test_no_younger_run_overtakes(situation: tuple[list[Place], list[Demand]]) -> None:
    """A run that is given an agent leaves no older one that could be served below its wish."""
    places, demands = situation
    runs = allocate(places, demands)
    total = sum(place.slots for place in places)
    for younger in demands:
        gained = [p for p in places if p.run != younger.run and runs[p.agent] == younger.run]
        for older in demands:
            if gained and older.priority < younger.priority and older.min <= total:
                assert slots_of(older.run, places, runs) >= older.wanted


@given(situations())
def test_no_agent_idles_while_a_run_could_use_it(
    situation: tuple[list[Place], list[Demand]],
) -> None:
    """Idle agents are left over only when every run that can be served has its maximum."""
    places, demands = situation
    runs = allocate(places, demands)
    total = sum(place.slots for place in places)
    if any(place.slots and not runs[place.agent] for place in places):
        for asked in demands:
            if asked.min <= total:
                assert slots_of(asked.run, places, runs) >= asked.max


@given(situations())
def test_allocation_is_stable(situation: tuple[list[Place], list[Demand]]) -> None:
    """Once everybody has moved, nobody has to move again: no agent swings between runs."""
    places, demands = situation
    moved = apply(places, allocate(places, demands))
    again = allocate(moved, demands)
    assert again == {place.agent: place.run for place in moved}


@given(situations())
def test_unknown_runs_and_dead_agents_are_left_alone(
    situation: tuple[list[Place], list[Demand]],
) -> None:
    """An agent of a run that has not come back yet stays; one without slots is given to nobody."""
    places, demands = situation
    runs = allocate(places, demands)
    for place in places:
        if place.run == "gone" or not place.slots:
            assert runs[place.agent] == place.run


def test_surplus_goes_to_a_run_that_lacks() -> None:
    """A run that grew beyond its wish gives back when another one wants its share."""
    places = [Place("a", 1, "old"), Place("b", 1, "old"), Place("c", 1, "old")]
    demands = [demand("old", 1, 1, 3, 0), demand("new", 1, 2, 2, 1)]
    runs = allocate(places, demands)
    assert sorted(runs.values()) == ["new", "new", "old"]


def test_run_beyond_all_agents_holds_nobody_up() -> None:
    """A run that needs more slots than there are waits without blocking those behind it."""
    places = [Place("a", 1, ""), Place("b", 1, "")]
    demands = [demand("huge", 5, 5, 5, 0), demand("small", 1, 2, 2, 1)]
    assert set(allocate(places, demands).values()) == {"small"}


def test_smallest_agent_that_is_enough_is_taken() -> None:
    """A run for one worker does not take the agent with four slots."""
    places = [Place("big", 4, ""), Place("small", 1, "")]
    assert allocate(places, [demand("run", 1, 1, 1, 0)]) == {"big": "", "small": "run"}

"""Who gets which agents."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from services.trainer.pool.allocation import Allocation, Demand, Place, Reason, allocate

LOW, NORMAL, HIGH = 1, 2, 3
_ROUNDS = 5


def demand(
    run: str, least: int, wanted: int, most: int, created: int, priority: int = NORMAL
) -> Demand:
    """A demand whose coordinator does not matter."""
    return Demand(run, 1, "127.0.0.1:1", "token", least, wanted, most, priority, created)


@dataclass(frozen=True)
class Situation:
    """What `allocate` is told."""

    places: list[Place]
    demands: list[Demand]
    overdue: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()
    most_runs: int | None = None

    @property
    def ordered(self) -> list[Demand]:
        """The demands in the order in which they are to be served."""
        return sorted(self.demands, key=lambda each: (-each.priority, each.created))

    @property
    def total(self) -> int:
        """Slots of all agents."""
        return sum(place.slots for place in self.places)

    def allocate(self) -> Allocation:
        """What comes of it."""
        return allocate(
            self.places, self.demands, self.overdue, self.spared, most_runs=self.most_runs
        )

    def before(self, asked: Demand) -> int:
        """Slots that a run had."""
        return sum(place.slots for place in self.places if place.run == asked.run)

    def after(self, asked: Demand, found: Allocation) -> int:
        """Slots that a run gets."""
        return sum(each.slots for each in self.places if found.runs[each.agent] == asked.run)

    def moved(self, found: Allocation) -> "Situation":
        """The situation once everybody has moved, and runs that begin have their process."""
        places = [Place(each.agent, each.slots, found.runs[each.agent]) for each in self.places]
        waiting = {wait.run for wait in found.waits}
        demands = [
            each if each.run in waiting or each.attempt else replace(each, attempt=1)
            for each in self.demands
        ]
        return replace(self, places=places, demands=demands, spared=self.spared - waiting)


@st.composite
def situations(draw: st.DrawFn, largest_agent: int = 3) -> Situation:
    """Up to eight agents, some of them at work, and up to six runs, some without a process."""
    names = [f"run-{index}" for index in range(draw(st.integers(0, 6)))]
    demands = []
    for created, run in enumerate(draw(st.permutations(names))):
        least = draw(st.integers(1, 4))
        wanted = draw(st.integers(least, 5))
        most = draw(st.integers(wanted, 7))
        asked = demand(run, least, wanted, most, created, draw(st.integers(LOW, HIGH)))
        demands.append(replace(asked, attempt=draw(st.integers(0, 1))))
    at_work = ["", "gone", *(each.run for each in demands if each.attempt)]
    places = [
        Place(f"agent-{index}", draw(st.integers(0, largest_agent)), draw(st.sampled_from(at_work)))
        for index in range(draw(st.integers(0, 8)))
    ]
    overdue = frozenset(run for run in names if draw(st.booleans()))
    spared = frozenset(run for run in at_work[2:] if draw(st.integers(0, 3)) == 0)
    return Situation(places, demands, overdue, spared, draw(st.none() | st.integers(1, 4)))


@given(situations())
def test_no_agent_is_invented(situation: Situation) -> None:
    """Every agent has one place: runs together never have more than the slots that there are."""
    found = situation.allocate()
    assert found.runs.keys() == {place.agent for place in situation.places}
    assert set(found.runs.values()) <= {"", "gone", *(each.run for each in situation.demands)}


@given(situations())
def test_run_gets_its_minimum_or_nothing(situation: Situation) -> None:
    """Gangs: a run that begins has enough for it, and one that waits is given nothing."""
    found = situation.allocate()
    waiting = {wait.run for wait in found.waits}
    for asked in situation.demands:
        had, has = situation.before(asked), situation.after(asked, found)
        if asked.run in waiting:
            assert has <= had
        elif asked.run not in situation.spared:
            assert has >= asked.min


@given(situations())
def test_half_a_gang_is_held_only_while_nobody_needs_it(situation: Situation) -> None:
    """What a waiting run still has would not let any other waiting run begin."""
    found = situation.allocate()
    waiting = {wait.run: wait for wait in found.waits}
    held = sum(situation.after(each, found) for each in situation.demands if each.run in waiting)
    idle = sum(each.slots for each in situation.places if not found.runs[each.agent])
    for asked in situation.demands:
        wait = waiting.get(asked.run)
        if wait is not None and wait.reason is Reason.SLOTS:
            assert asked.min > held + idle


@given(situations())
def test_run_at_work_is_never_cut_in_half(situation: Situation) -> None:
    """Others leave it its minimum, or it is stopped as a whole, and only for a higher priority."""
    found = situation.allocate()
    waiting = {wait.run for wait in found.waits}
    for asked in situation.demands:
        if situation.before(asked) < asked.min:
            continue
        if asked.run not in waiting:
            assert situation.after(asked, found) >= asked.min
            continue
        gained = [
            each
            for each in situation.demands
            if situation.after(each, found) > situation.before(each)
        ]
        assert any(each.priority > asked.priority for each in gained)


@given(situations())
def test_its_own_kind_leaves_a_run_what_it_wants(situation: Situation) -> None:
    """Without overdue runs, one shrinks below its wish only for a higher priority."""
    situation = replace(situation, overdue=frozenset())
    found = situation.allocate()
    for asked in situation.demands:
        has = situation.after(asked, found)
        had = situation.before(asked)
        if had >= asked.min and has < min(had, asked.wanted):
            assert any(
                each.priority > asked.priority
                and situation.after(each, found) > situation.before(each)
                for each in situation.demands
            )


@given(situations())
def test_earlier_run_comes_first(situation: Situation) -> None:
    """A run begins before an earlier one only where that could not have begun in its place."""
    found = situation.allocate()
    waits = {wait.run: wait for wait in found.waits}
    for later_at, later in enumerate(situation.ordered):
        gain = situation.after(later, found) - situation.before(later)
        if gain <= 0 or later.run in situation.spared:
            continue
        for earlier in situation.ordered[:later_at]:
            wait = waits.get(earlier.run)
            if wait is not None and wait.reason is Reason.SLOTS:
                assert situation.after(later, found) < earlier.min or wait.free < earlier.min


@given(situations())
def test_nobody_begins_behind_an_overdue_run(situation: Situation) -> None:
    """No starvation: slots that become free are kept for it, at most lent to those at work."""
    found = situation.allocate()
    waits = {wait.run: wait for wait in found.waits}
    is_kept = False
    for asked in situation.ordered:
        wait = waits.get(asked.run)
        if is_kept and asked.min <= situation.total and asked.run not in situation.spared:
            assert wait is not None or situation.before(asked) >= asked.min
        if wait is not None and wait.reason is Reason.SLOTS and asked.run in situation.overdue:
            is_kept = True


@given(situations(), st.data())
def test_every_run_begins_at_last(situation: Situation, data: st.DataObject) -> None:
    """Whatever runs are at work: as they end, each run that the agents suffice for has its turn."""
    situation = replace(situation, spared=frozenset(), most_runs=None)
    free = [place for place in situation.places if place.run != "gone"]
    for _ in situation.demands:
        situation = replace(
            situation,
            places=free,
            overdue=frozenset(each.run for each in situation.demands),
        )
        situation = situation.moved(situation.allocate())
        at_work = [each for each in situation.demands if situation.before(each) >= each.min]
        possible = [each for each in situation.demands if each.min <= situation.total]
        assert bool(at_work) == bool(possible)
        if not possible:
            return
        ended = data.draw(st.sampled_from(at_work))
        free = [
            replace(place, run="") if place.run == ended.run else place
            for place in situation.places
        ]
        demands = [each for each in situation.demands if each is not ended]
        situation = replace(situation, demands=demands)


@given(situations())
def test_no_agent_idles_while_a_run_could_use_it(situation: Situation) -> None:
    """Idle agents are left over only when every run at work has its maximum."""
    found = situation.allocate()
    waiting = {wait.run for wait in found.waits}
    if any(place.slots and not found.runs[place.agent] for place in situation.places):
        for asked in situation.demands:
            if asked.run not in waiting:
                assert situation.after(asked, found) >= asked.max


@given(situations(largest_agent=1))
def test_allocation_of_equal_agents_is_stable(situation: Situation) -> None:
    """Once everybody has moved, nobody has to move again: no agent swings between runs."""
    found = situation.allocate()
    moved = situation.moved(found)
    again = moved.allocate()
    assert again.runs == found.runs
    assert [wait.run for wait in again.waits] == [wait.run for wait in found.waits]


@given(situations())
def test_allocation_of_any_agents_settles(situation: Situation) -> None:
    """Where sizes differ, a choice may be mended once or twice by what it made possible."""
    for _ in range(_ROUNDS):
        found = situation.allocate()
        moved = situation.moved(found)
        if moved == situation:
            return
        situation = moved
    raise AssertionError("agents swing between runs")


@given(situations(largest_agent=1))
def test_only_what_is_needed_moves(situation: Situation) -> None:
    """Agents leave a run at work only for one that lacks them, or where it has too many."""
    found = situation.allocate()
    lost = sum(
        max(situation.before(each) - max(situation.after(each, found), 0), 0)
        for each in situation.demands
        if situation.before(each) <= each.max
    )
    gained = sum(
        max(situation.after(each, found) - situation.before(each), 0) for each in situation.demands
    )
    assert lost <= gained


@given(situations())
def test_unknown_runs_and_dead_agents_are_left_alone(situation: Situation) -> None:
    """An agent of a run that has not come back yet stays; one without slots is given to nobody."""
    found = situation.allocate()
    for place in situation.places:
        if place.run == "gone" or not place.slots:
            assert found.runs[place.agent] == place.run


@given(situations())
def test_processes_are_bounded_within_a_priority(situation: Situation) -> None:
    """A run gets its process where fewer of its own or a higher priority have one."""
    found = situation.allocate()
    waiting = {wait.run for wait in found.waits}
    for asked in situation.demands:
        if asked.attempt or asked.run in waiting or situation.most_runs is None:
            continue
        others = [
            each
            for each in situation.demands
            if each.priority >= asked.priority and (each.attempt or each.run not in waiting)
        ]
        before = sum(each.attempt for each in others)
        assert len(others) <= max(situation.most_runs, before)


def ones(count: int, run: str = "", name: str = "a") -> list[Place]:
    """Agents of one slot."""
    return [Place(f"{name}{number}", 1, run) for number in range(count)]


def test_surplus_goes_to_a_run_that_lacks() -> None:
    """A run that grew beyond its wish gives back when another one wants its share."""
    demands = [demand("old", 1, 1, 3, 0), demand("new", 1, 2, 2, 1)]
    assert sorted(allocate(ones(3, "old"), demands).runs.values()) == ["new", "new", "old"]


def test_run_beyond_all_agents_holds_nobody_up() -> None:
    """A run that needs more slots than there are waits without blocking those behind it."""
    demands = [demand("huge", 5, 5, 5, 0), demand("small", 1, 2, 2, 1)]
    found = allocate(ones(2), demands, overdue=["huge"])
    assert set(found.runs.values()) == {"small"}
    assert [wait.reason for wait in found.waits] == [Reason.AGENTS]


def test_smallest_agent_that_is_enough_is_taken() -> None:
    """A run for one worker does not take the agent with four slots."""
    places = [Place("big", 4, ""), Place("small", 1, "")]
    assert allocate(places, [demand("run", 1, 1, 1, 0)]).runs == {"big": "", "small": "run"}


def test_two_half_gangs_do_not_wait_for_each_other() -> None:
    """The earlier one gets what the later one holds without being able to use it."""
    places = [Place("a", 1, "first"), Place("b", 1, "second")]
    found = allocate(places, [demand("first", 2, 2, 2, 0), demand("second", 2, 2, 2, 1)])
    assert set(found.runs.values()) == {"first"}


def test_small_run_goes_ahead_until_the_large_one_is_overdue() -> None:
    """What is free is used; after a while it is kept for the one that waits, and lent meanwhile."""
    places = [*ones(2, "old", "o"), *ones(2)]
    demands = [
        demand("old", 2, 2, 4, 0),
        demand("large", 4, 4, 4, 1),
        demand("small", 1, 1, 1, 2),
    ]
    ahead = allocate(places, demands)
    assert "small" in ahead.runs.values()
    kept = allocate(places, demands, overdue=["large"])
    assert [(wait.run, wait.reason) for wait in kept.waits] == [
        ("large", Reason.SLOTS),
        ("small", Reason.RESERVED),
    ]
    assert kept.waits[1].behind == "large"
    assert set(kept.runs.values()) == {"old"}
    ended = [replace(place, run="") for place in places]
    begun = allocate(ended, demands[1:], overdue=["large"])
    assert set(begun.runs.values()) == {"large"}


def test_overdue_run_shrinks_its_own_kind() -> None:
    """A run that wants all it can get lets one that has waited for long begin beside it."""
    demands = [demand("greedy", 1, 4, 4, 0), demand("late", 2, 2, 2, 1)]
    places = ones(4, "greedy")
    assert set(allocate(places, demands).runs.values()) == {"greedy"}
    found = allocate(places, demands, overdue=["late"])
    assert sorted(found.runs.values()) == ["greedy", "greedy", "late", "late"]


def test_higher_priority_shrinks_then_stops_others() -> None:
    """Others shrink to their minimum; where that is not enough, the newest of them stops."""
    places = [*ones(3, "old", "o"), *ones(2, "new", "n")]
    others = [demand("old", 1, 3, 3, 0), demand("new", 2, 2, 2, 1)]
    shrunk = allocate(places, [*others, demand("urgent", 2, 2, 2, 2, HIGH)])
    assert sorted(shrunk.runs.values()) == ["new", "new", "old", "urgent", "urgent"]
    stopped = allocate(places, [*others, demand("urgent", 3, 3, 3, 2, HIGH)])
    assert sorted(stopped.runs.values()) == ["old", "old", "urgent", "urgent", "urgent"]
    assert [wait.run for wait in stopped.waits] == ["new"]


def test_run_that_lost_an_agent_is_spared_for_a_while() -> None:
    """A worker that comes back in a second finds its run as it was."""
    places = [Place("a", 1, "hurt"), Place("b", 0, "hurt")]
    demands = [demand("hurt", 2, 2, 2, 0), demand("next", 1, 1, 1, 1)]
    assert allocate(places, demands).runs["a"] == "next"
    assert allocate(places, demands, spared=["hurt"]).runs["a"] == "hurt"

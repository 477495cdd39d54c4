"""Which agent works for which run. One pure function.

Runs come in order of priority, then of age. A run begins once its minimum can be had at once, and
never has a part of it while others could use that (gang scheduling; Ousterhout, 1982). It then gets
what it wants before the next run gets anything, and what nobody wants goes to those who can use it.

Where slots come from, in this order: free ones, what others have beyond what they want, and for a
run of a higher priority what others have beyond their minimum, then all of them. A run that cannot
begin lets those behind it go ahead, until it is overdue: from then on none behind it begins, and it
may shrink runs of its own priority to their minimum too. So every run begins as soon as enough of
those before it, and of those at work, have ended. Free slots that an overdue run waits for are lent
to runs at work.
"""

from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from services.trainer.pool.table import Table


@dataclass(frozen=True)
class Demand:
    """What a run asks for.

    Attributes:
        run: Resource name.
        attempt: Its attempt; 0 for a run that has no process yet.
        address: Address of its coordinator.
        token: What agents show there.
        min: Slots without which it waits.
        wanted: Slots it should have.
        max: Slots it can use.
        priority: The larger, the earlier it is served.
        created: Within a priority, the smaller, the earlier.
    """

    run: str
    attempt: int
    address: str
    token: str
    min: int
    wanted: int
    max: int
    priority: int
    created: int


@dataclass(frozen=True)
class Place:
    """An agent and what it works for.

    Attributes:
        agent: Its id.
        slots: Workers it can run now; 0 where it is silent, leaving or not ready.
        run: The run it works for; empty when idle.
    """

    agent: str
    slots: int
    run: str


class Reason(Enum):
    """What a run waits for."""

    SLOTS = "slots"
    RESERVED = "reserved"
    AGENTS = "agents"
    RUNS = "runs"


@dataclass(frozen=True)
class Wait:
    """A run that has to wait.

    Attributes:
        run: The run.
        reason: What it waits for.
        free: Slots that it could have now.
        behind: The overdue run before it, where that is the reason.
    """

    run: str
    reason: Reason
    free: int
    behind: str = ""


@dataclass(frozen=True)
class Allocation:
    """Who works for whom, and who waits.

    Attributes:
        runs: Run by agent id; empty for idle.
        waits: The runs that have to wait, in their order.
    """

    runs: dict[str, str]
    waits: tuple[Wait, ...]


def allocate(
    places: Sequence[Place],
    demands: Sequence[Demand],
    overdue: Collection[str] = (),
    spared: Collection[str] = (),
    most_runs: int | None = None,
) -> Allocation:
    """Says which run each agent should work for.

    Args:
        places: All agents. One that works for a run without a demand stays there.
        demands: What runs ask for, at most one each.
        overdue: Runs that have waited for long.
        spared: Runs that have just fallen below their minimum. They keep what they have.
        most_runs: Runs of the same or a higher priority that may have a process before another one
            gets its own; None for any number.
    """
    return _Allocator(places, demands, overdue, spared, most_runs).allocate()


class _Allocator:
    def __init__(
        self,
        places: Sequence[Place],
        demands: Sequence[Demand],
        overdue: Collection[str],
        spared: Collection[str],
        most_runs: int | None,
    ) -> None:
        self._ordered = sorted(demands, key=_order)
        self._overdue = overdue
        self._most_runs = most_runs
        self._working = [each.priority for each in demands if each.attempt]
        self._total = sum(place.slots for place in places)
        self._table = Table({place.agent: (place.slots, place.run) for place in places})
        # Runs at work, in their order.
        self._standing = [
            each
            for each in self._ordered
            if self._table.slots_of(each.run) >= each.min or each.run in spared
        ]
        # Slots that others can do without, for runs that have the same rights.
        self._known: dict[tuple[int, bool], int] = {}
        self._reserved_for = ""

    def allocate(self) -> Allocation:
        at_work = {each.run for each in self._standing}
        for demand in self._ordered:
            if demand.run not in at_work:
                self._table.loosen(demand.run)
        for demand in self._standing:
            self._table.drop(demand.run, demand.max)
        waits = [wait for demand in self._ordered if (wait := self._serve(demand)) is not None]
        # What a run was stopped for may be more than enough: those before get what they want first.
        for demand in self._standing:
            self._fill(demand, demand.wanted, is_overdue=False)
        self._table.restore()
        self._lend()
        return Allocation(self._table.runs(), tuple(waits))

    def _serve(self, demand: Demand) -> Wait | None:
        """Has a run begin, or gives one that has begun what it wants."""
        if not any(each is demand for each in self._standing):
            wait = self._why_not(demand)
            if wait is not None:
                if wait.reason is Reason.SLOTS and demand.run in self._overdue:
                    self._reserved_for = demand.run
                return wait
            self._begin(demand)
        self._fill(demand, demand.wanted, is_overdue=False)
        return None

    def _why_not(self, demand: Demand) -> Wait | None:
        """Says why a run cannot begin; None where it can."""
        free = self._spare(demand.priority, demand.run in self._overdue)
        if demand.min > self._total:  # it holds nobody up
            return Wait(demand.run, Reason.AGENTS, free)
        if self._table.loose_slots(demand.run) >= demand.min:
            return None  # it was about to be stopped, and nobody needed what it has
        if self._reserved_for:
            return Wait(demand.run, Reason.RESERVED, free, self._reserved_for)
        if not self._may_have_process(demand):
            return Wait(demand.run, Reason.RUNS, free)
        if free < demand.min and not self._preempt(demand, demand.min - free):
            return Wait(demand.run, Reason.SLOTS, free)
        return None

    def _may_have_process(self, demand: Demand) -> bool:
        if demand.attempt or self._most_runs is None:
            return True
        before = sum(priority >= demand.priority for priority in self._working)
        return before < self._most_runs

    def _spare(self, priority: int, is_overdue: bool) -> int:
        """Returns the slots that are free, or that runs at work can do without."""
        rights = (priority, is_overdue)
        if rights not in self._known:
            lent = sum(
                self._table.spare(each.run, _floor(each, priority, is_overdue))
                for each in self._standing
            )
            self._known[rights] = self._table.free_slots() + lent
        return self._known[rights]

    def _preempt(self, demand: Demand, missing: int) -> bool:
        """Stops runs of lower priorities, the last ones first, where that gains enough slots."""
        victims = []
        for victim in reversed(self._standing):
            if victim.priority >= demand.priority or missing <= 0:
                break
            spare = self._table.spare(victim.run, victim.min)
            gain = self._table.slots_of(victim.run) - spare
            if gain > 0:
                victims.append(victim)
                missing -= gain
        if missing > 0:
            return False
        for victim in victims:
            self._standing.remove(victim)
            self._table.loosen(victim.run)
        self._known.clear()
        return True

    def _begin(self, demand: Demand) -> None:
        self._fill(demand, demand.min, is_overdue=demand.run in self._overdue)
        insort(self._standing, demand, key=_order)
        if not demand.attempt:
            self._working.append(demand.priority)

    def _fill(self, demand: Demand, goal: int, *, is_overdue: bool) -> None:
        """Gives a run agents until it has so many slots, or there are no more to be had."""
        if self._table.slots_of(demand.run) >= goal:
            return
        self._known.clear()
        self._table.fill(demand.run, goal)
        for donor in reversed(self._standing):
            if donor.run != demand.run:
                floor = _floor(donor, demand.priority, is_overdue)
                self._table.move(donor.run, floor, demand.run, goal)

    def _lend(self) -> None:
        """Gives what is left to runs that can use it, and takes back what they cannot use."""
        # An agent that one run can spare after it got a larger one is of use to the next.
        for _ in self._table.runs():
            for demand in self._standing:
                self._table.fill(demand.run, demand.max)
            dropped = [self._table.drop(each.run, each.max) for each in self._standing]
            if not any(dropped):
                break


def _order(demand: Demand) -> tuple[int, int, str]:
    return -demand.priority, demand.created, demand.run


def _floor(donor: Demand, priority: int, is_overdue: bool) -> int:
    """Returns the slots that a run at work keeps when one of such a priority needs some."""
    if donor.priority < priority or (is_overdue and donor.priority == priority):
        return donor.min
    return donor.wanted

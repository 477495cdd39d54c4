"""Which agent works for which run. One pure function.

Runs are served in the order of their creation. Each gets what it wants before any gets more, and
no younger run is given an agent while an older one that can be served lacks some, so that none
starves. An agent beyond what its run wants is taken back for a run that lacks one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """What a run asks for.

    Attributes:
        run: Resource name.
        attempt: Its attempt.
        address: Address of its coordinator.
        token: What agents show there.
        min: Slots without which it waits.
        wanted: Slots it should have.
        max: Slots it can use.
        priority: The smaller, the earlier it is served.
    """

    run: str
    attempt: int
    address: str
    token: str
    min: int
    wanted: int
    max: int
    priority: int


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


def allocate(places: Sequence[Place], demands: Sequence[Demand]) -> dict[str, str]:
    """Says which run each agent should work for.

    Args:
        places: All agents. One that works for a run without a demand stays there.
        demands: What runs ask for, at most one each.

    Returns:
        Run by agent id; empty for idle.
    """
    table = _Table(places)
    ordered = sorted(demands, key=lambda demand: (demand.priority, demand.run))
    total = sum(place.slots for place in places)
    # A run that not even all agents could serve does not hold up those behind it.
    served = [demand for demand in ordered if demand.min <= total]
    for demand in served:
        table.fill(demand.run, demand.wanted)
        for donor in reversed(ordered):
            table.take_back(donor, demand)
    # An agent that one run can spare after it got a larger one is of use to the next.
    for _ in places:
        for demand in served:
            table.fill(demand.run, demand.max)
        dropped = [table.drop_excess(demand) for demand in ordered]
        if not any(dropped):
            break
    return dict(table.runs)


class _Table:
    def __init__(self, places: Sequence[Place]) -> None:
        self._slots: Mapping[str, int] = {place.agent: place.slots for place in places}
        self.runs = {place.agent: place.run for place in places}

    def _slots_of(self, run: str) -> int:
        return sum(self._slots[agent] for agent, place in self.runs.items() if place == run)

    def fill(self, run: str, goal: int) -> None:
        """Gives a run idle agents until it has so many slots."""
        while (missing := goal - self._slots_of(run)) > 0:
            idle = [agent for agent, place in self.runs.items() if not place and self._slots[agent]]
            if not idle:
                return
            self.runs[self._best_fit(idle, missing)] = run

    def _best_fit(self, idle: Sequence[str], missing: int) -> str:
        """Returns the smallest agent that is large enough, else the largest."""
        enough = [agent for agent in idle if self._slots[agent] >= missing]
        if enough:
            return min(enough, key=lambda agent: (self._slots[agent], agent))
        return min(idle, key=lambda agent: (-self._slots[agent], agent))

    def take_back(self, donor: Demand, demand: Demand) -> None:
        """Moves agents that a donor can do without to a run that lacks slots."""
        if donor.run == demand.run:
            return
        for agent, place in sorted(self.runs.items()):
            lacks = self._slots_of(demand.run) < demand.wanted
            if place == donor.run and lacks and self._can_spare(agent, donor.run, donor.wanted):
                self.runs[agent] = demand.run

    def drop_excess(self, demand: Demand) -> bool:
        """Makes agents idle that a run cannot use. Returns whether there were any."""
        dropped = False
        for agent, place in sorted(self.runs.items()):
            if place == demand.run and self._can_spare(agent, demand.run, demand.max):
                self.runs[agent] = ""
                dropped = True
        return dropped

    def _can_spare(self, agent: str, run: str, kept: int) -> bool:
        return self._slots[agent] > 0 and self._slots_of(run) - self._slots[agent] >= kept

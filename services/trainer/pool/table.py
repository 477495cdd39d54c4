"""Agents and the runs they go to, while an allocation is made."""

from collections.abc import Iterable, Mapping


class Table:
    """Who works for whom. A free agent is loose where it still works for a run without right to it.

    Every choice is a function of slots and names alone, so that the same situation always leads to
    the same allocation.
    """

    def __init__(self, agents: Mapping[str, tuple[int, str]]) -> None:
        """Takes the situation.

        Args:
            agents: By id: slots, and the run it works for; empty for none.
        """
        self._slots = {agent: slots for agent, (slots, _) in agents.items()}
        self._runs = {agent: run for agent, (_, run) in agents.items()}
        self._of: dict[str, set[str]] = {}
        for agent, run in self._runs.items():
            self._of.setdefault(run, set()).add(agent)
        self._of.setdefault("", set())
        self._loose: dict[str, str] = {}

    def runs(self) -> dict[str, str]:
        """Returns the run of each agent; empty for none."""
        return dict(self._runs)

    def slots_of(self, run: str) -> int:
        """Returns the slots that a run has."""
        return sum(self._slots[agent] for agent in self._of.get(run, ()))

    def free_slots(self) -> int:
        """Returns the slots that no run has a right to."""
        return self.slots_of("")

    def loose_slots(self, run: str) -> int:
        """Returns the slots that were taken from a run and that nobody has needed yet."""
        return sum(
            self._slots[agent]
            for agent, before in self._loose.items()
            if before == run and not self._runs[agent]
        )

    def loosen(self, run: str) -> None:
        """Takes the agents from a run that has no right to them, for those who need them."""
        for agent in list(self._of.get(run, ())):
            if self._slots[agent]:
                self._loose[agent] = run
                self._assign(agent, "")

    def restore(self) -> None:
        """Gives loose agents that nobody needed back."""
        for agent, run in self._loose.items():
            if not self._runs[agent]:
                self._assign(agent, run)

    def fill(self, run: str, goal: int) -> None:
        """Gives a run free agents until it has so many slots."""
        while (missing := goal - self.slots_of(run)) > 0:
            free = [agent for agent in self._of[""] if self._slots[agent]]
            if not free:
                return
            nearest = min(self._distance(agent, run) for agent in free)
            near = [agent for agent in free if self._distance(agent, run) == nearest]
            self._assign(self._best_fit(near, missing), run)

    def move(self, donor: str, floor: int, run: str, goal: int) -> None:
        """Gives a run agents of a donor that keeps so many slots."""
        while (missing := goal - self.slots_of(run)) > 0:
            spare = self._spare_agents(donor, floor)
            if not spare:
                return
            self._assign(self._best_fit(spare, missing), run)

    def spare(self, run: str, floor: int) -> int:
        """Returns the slots beyond so many that a run can give away, its largest agents first."""
        left = held = self.slots_of(run)
        for slots in sorted((self._slots[agent] for agent in self._of.get(run, ())), reverse=True):
            if left - slots >= floor:
                left -= slots
        return held - left

    def drop(self, run: str, most: int) -> bool:
        """Makes agents idle without which a run still has so many slots. Returns whether any."""
        dropped = False
        while spare := self._spare_agents(run, most):
            self._assign(min(spare, key=lambda agent: (self._slots[agent], agent)), "")
            dropped = True
        return dropped

    def _distance(self, agent: str, run: str) -> int:
        """Returns how little a free agent suits a run: its own first, loose ones of others last."""
        loose_from = self._loose.get(agent, "")
        return 0 if loose_from == run else 1 if not loose_from else 2

    def _spare_agents(self, run: str, floor: int) -> list[str]:
        held = self.slots_of(run)
        agents = self._of.get(run, ())
        return [each for each in agents if 0 < self._slots[each] <= held - floor]

    def _best_fit(self, agents: Iterable[str], missing: int) -> str:
        """Returns the smallest agent that is large enough, else the largest."""
        enough = [agent for agent in agents if self._slots[agent] >= missing]
        if enough:
            return min(enough, key=lambda agent: (self._slots[agent], agent))
        return min(agents, key=lambda agent: (-self._slots[agent], agent))

    def _assign(self, agent: str, run: str) -> None:
        self._of[self._runs[agent]].discard(agent)
        self._runs[agent] = run
        self._of.setdefault(run, set()).add(agent)

"""The pool's knowledge: who is there, who asks, who was sent where. No I/O, no clock of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import FailedPreconditionError
from services.trainer.pool.allocation import Demand, Place, allocate

SILENCE_SECONDS = 3.0
"""An agent without a heartbeat for so long takes no work; heartbeats come each second."""


class StaleAttemptError(FailedPreconditionError):
    """A newer attempt of the run has been seen."""

    reason = "STALE_ATTEMPT"


@dataclass
class AgentEntry:
    """What the pool knows of an agent.

    Attributes:
        state: Its last message.
        heard_at: When that came.
        sent: The last assignment that it was sent.
        took_it: Whether it was seen working for that assignment's run.
        refused: Runs and attempts that it would not work for.
    """

    state: agents_pb2.JoinRequest
    heard_at: float
    sent: agents_pb2.Assignment = field(default_factory=agents_pb2.Assignment)
    took_it: bool = False
    refused: set[tuple[str, int]] = field(default_factory=set)

    @property
    def is_pending(self) -> bool:
        """Whether it has not answered to its last assignment yet."""
        return self.state.assignment < self.sent.number

    @property
    def run(self) -> str:
        """The run that it works for, or will once it has read its last assignment."""
        return self.sent.training_run if self.is_pending else self.state.agent.training_run

    def works_for(self, demand: Demand) -> bool:
        """Whether it works for this very attempt and coordinator, or has been told to."""
        found = self.sent if self.is_pending else self.state
        return (self.run, found.attempt, found.coordinator_address) == (
            demand.run,
            demand.attempt,
            demand.address,
        )


@dataclass(frozen=True)
class Plan:
    """What is to be said now.

    Attributes:
        assignments: New assignments by agent id.
        rosters: For each run that asks, its agents.
    """

    assignments: dict[str, agents_pb2.Assignment]
    rosters: dict[str, agents_pb2.RecruitResponse]


class Pool:
    """Agents and demands. After each change, `plan` says what to tell them."""

    def __init__(self) -> None:
        """Starts empty; agents and coordinators that come back say what they are doing."""
        self._agents: dict[str, AgentEntry] = {}
        self._demands: dict[str, Demand] = {}
        self._newest: dict[str, int] = {}

    def hear(self, state: agents_pb2.JoinRequest, now: float) -> None:
        """Takes an agent's message, its first one or a later one."""
        run = state.agent.training_run
        entry = self._agents.setdefault(state.agent.id, AgentEntry(state, now))
        entry.state = state
        entry.heard_at = now
        if run:
            self._newest[run] = max(self._newest.get(run, 0), state.attempt)
        if entry.is_pending:
            return
        if run and run == entry.sent.training_run:
            entry.took_it = True
        elif not run and entry.sent.number and not entry.took_it:
            entry.refused.add((entry.sent.training_run, entry.sent.attempt))

    def leave(self, agent_id: str) -> None:
        """An agent's stream ended."""
        self._agents.pop(agent_id, None)

    def recruit(self, demand: Demand) -> None:
        """Takes a run's demand, a new one or a changed one.

        Raises:
            StaleAttemptError: A newer attempt of the run has been seen.
        """
        newest = self._newest.get(demand.run, 0)
        if demand.attempt < newest:
            raise StaleAttemptError(f"Attempt {newest} of {demand.run} has taken over.")
        self._newest[demand.run] = demand.attempt
        self._demands[demand.run] = demand

    def withdraw(self, demand: Demand) -> None:
        """A run's coordinator ended its stream; a newer demand of the run stays."""
        if self._demands.get(demand.run) is demand:
            del self._demands[demand.run]

    def agents(self) -> list[trainer_pb2.Agent]:
        """Returns the connected agents by id."""
        return [entry.state.agent for _, entry in sorted(self._agents.items())]

    def plan(self, now: float) -> Plan:
        """Assigns agents, and says what agents and runs are to be told."""
        places = [self._place(agent, entry, now) for agent, entry in sorted(self._agents.items())]
        targets = allocate(places, list(self._demands.values()))
        assignments = {}
        for agent, run in targets.items():
            demand = self._demands.get(run)
            entry = self._agents[agent]
            if demand is not None and self._is_due(entry, demand):
                assignments[agent] = self._assign(entry, demand)
        rosters = {run: self._roster(run, targets, places) for run in self._demands}
        return Plan(assignments, rosters)

    def _place(self, agent: str, entry: AgentEntry, now: float) -> Place:
        is_able = now - entry.heard_at <= SILENCE_SECONDS and not entry.state.leaving
        return Place(agent, entry.state.agent.slots if is_able else 0, entry.run)

    def _is_due(self, entry: AgentEntry, demand: Demand) -> bool:
        """Whether the agent is to be sent to the run now.

        One that works for another run comes when that run has let it go.
        """
        is_free = entry.run in ("", demand.run)
        has_refused = (demand.run, demand.attempt) in entry.refused
        return is_free and not has_refused and not entry.works_for(demand)

    def _assign(self, entry: AgentEntry, demand: Demand) -> agents_pb2.Assignment:
        entry.took_it = False
        entry.sent = agents_pb2.Assignment(
            training_run=demand.run,
            attempt=demand.attempt,
            coordinator_address=demand.address,
            token=demand.token,
            number=entry.sent.number + 1,
        )
        return entry.sent

    def _roster(
        self, run: str, targets: dict[str, str], places: Sequence[Place]
    ) -> agents_pb2.RecruitResponse:
        roster = agents_pb2.RecruitResponse(total_slots=sum(place.slots for place in places))
        for agent, entry in sorted(self._agents.items()):
            if entry.run != run:
                continue
            if targets[agent] == run:
                roster.agents.append(entry.state.agent)
            else:
                roster.wanted_back.append(agent)
        return roster

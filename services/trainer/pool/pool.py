"""The pool's knowledge: who is there, who asks, who was sent where. No I/O, no clock of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import FailedPreconditionError
from services.trainer.pool.allocation import Allocation, Demand, Place, Reason, Wait, allocate
from services.trainer.pool.patience import Patience

SILENCE_SECONDS = 3.0
"""An agent without a heartbeat for so long takes no work; heartbeats come each second."""
_SETTLE_SECONDS = 3.0
_REASONS = {
    Reason.SLOTS: trainer_pb2.WAIT_REASON_SLOTS,
    Reason.RESERVED: trainer_pb2.WAIT_REASON_RESERVED,
    Reason.AGENTS: trainer_pb2.WAIT_REASON_AGENTS,
    Reason.RUNS: trainer_pb2.WAIT_REASON_RUNS,
}


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

    def __init__(self, most_runs: int | None = None) -> None:
        """Starts empty; agents and coordinators that come back say what they are doing.

        Args:
            most_runs: Runs of a priority that may have a process at a time; None for any number.
        """
        self._most_runs = most_runs
        self._agents: dict[str, AgentEntry] = {}
        self._demands: dict[str, Demand] = {}
        self._expected: dict[str, Demand] = {}
        self._newest: dict[str, int] = {}
        self._patience = Patience()
        self._waits: dict[str, Wait] = {}
        self._places: dict[str, trainer_pb2.QueuePlace] = {}
        self._began: float | None = None

    def hear(self, state: agents_pb2.JoinRequest, now: float) -> bool:
        """Takes an agent's message, its first one or a later one. Returns whether it has news."""
        run = state.agent.training_run
        known = self._agents.get(state.agent.id)
        entry = self._agents.setdefault(state.agent.id, AgentEntry(state, now))
        is_news = known is None or _is_silent(known, now) or _said(known.state) != _said(state)
        entry.state = state
        entry.heard_at = now
        if run:
            self._newest[run] = max(self._newest.get(run, 0), state.attempt)
        if entry.is_pending:
            return is_news
        if run and run == entry.sent.training_run:
            entry.took_it = True
        elif not run and entry.sent.number and not entry.took_it:
            entry.refused.add((entry.sent.training_run, entry.sent.attempt))
        return is_news

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
        self._expected.pop(demand.run, None)

    def expect(self, due: Sequence[Demand], working: Collection[str]) -> None:
        """Takes the runs that are to get a process: they wait in the same queue as those with one.

        Args:
            due: Those without a process; their attempt is 0.
            working: Those with one. Of them, those that were due before are still expected to ask.
        """
        kept = {run: asked for run, asked in self._expected.items() if run in working}
        fresh = {asked.run: asked for asked in due if asked.run not in self._demands}
        self._expected = {**kept, **fresh}

    def may_begin(self, run: str, now: float) -> bool:
        """Whether a run that is expected is to get its process now, by the newest plan.

        One that needs more slots than there are may, so that its time limit for that runs.
        """
        wait = self._waits.get(run)
        is_settled = self._began is not None and now - self._began >= _SETTLE_SECONDS
        return wait is None or (wait.reason is Reason.AGENTS and is_settled)

    def queue_place(self, run: str) -> trainer_pb2.QueuePlace | None:
        """Returns a run's place in the queue by the newest plan; None where it does not wait."""
        return self._places.get(run)

    def withdraw(self, demand: Demand) -> None:
        """A run's coordinator ended its stream; a newer demand of the run stays."""
        if self._demands.get(demand.run) is demand:
            del self._demands[demand.run]

    def agents(self) -> list[trainer_pb2.Agent]:
        """Returns the connected agents by id."""
        return [entry.state.agent for _, entry in sorted(self._agents.items())]

    def plan(self, now: float) -> Plan:
        """Assigns agents, and says what agents and runs are to be told."""
        self._began = now if self._began is None else self._began
        places = [self._place(agent, entry, now) for agent, entry in sorted(self._agents.items())]
        targets = self._allocate(places, now).runs
        assignments = {}
        for agent, run in targets.items():
            demand = self._demands.get(run)
            entry = self._agents[agent]
            if demand is not None and self._is_due(entry, demand):
                assignments[agent] = self._assign(entry, demand)
        return Plan(assignments, self._rosters(targets, places))

    def _allocate(self, places: Sequence[Place], now: float) -> Allocation:
        demands = {**self._expected, **self._demands}
        slots = dict.fromkeys(demands, 0)
        for place in places:
            if place.run in slots:
                slots[place.run] += place.slots
        self._patience.keep(demands)
        for run, demand in demands.items():
            self._patience.note(run, slots[run] >= demand.min, now)
        found = allocate(
            places,
            list(demands.values()),
            self._patience.overdue(now),
            self._patience.spared(now),
            self._most_runs,
        )
        for wait in found.waits:
            self._patience.stop(wait.run)
        self._waits = {wait.run: wait for wait in found.waits}
        self._places = {
            wait.run: _queue_place(position, wait, demands[wait.run].min)
            for position, wait in enumerate(found.waits, start=1)
        }
        return found

    def _place(self, agent: str, entry: AgentEntry, now: float) -> Place:
        is_able = not _is_silent(entry, now) and not entry.state.leaving
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

    def _rosters(
        self, targets: Mapping[str, str], places: Sequence[Place]
    ) -> dict[str, agents_pb2.RecruitResponse]:
        total = sum(place.slots for place in places)
        rosters = {
            run: agents_pb2.RecruitResponse(total_slots=total, queue=self._places.get(run))
            for run in self._demands
        }
        for agent, entry in sorted(self._agents.items()):
            roster = rosters.get(entry.run)
            if roster is None:
                continue
            if targets[agent] == entry.run:
                roster.agents.append(entry.state.agent)
            else:
                roster.wanted_back.append(agent)
        return rosters


def _queue_place(position: int, wait: Wait, needed: int) -> trainer_pb2.QueuePlace:
    return trainer_pb2.QueuePlace(
        position=position,
        reason=_REASONS[wait.reason],
        slots_needed=needed,
        slots_free=wait.free,
        behind=wait.behind,
    )


def _is_silent(entry: AgentEntry, now: float) -> bool:
    return now - entry.heard_at > SILENCE_SECONDS


def _said(state: agents_pb2.JoinRequest) -> tuple[object, ...]:
    """Returns all of an agent's message that assignments depend on."""
    agent = state.agent
    at_work = agent.training_run, state.attempt, state.coordinator_address
    return agent.slots, *at_work, state.assignment, state.leaving

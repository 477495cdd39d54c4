"""The pool at work: streams of agents and coordinators around the pool's knowledge."""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.pool.allocation import Demand
from services.trainer.pool.holding import Holding
from services.trainer.pool.pool import Pool

_TICK_SECONDS = 1.0
# News of agents come in crowds, of all those of a run: one plan answers to so many seconds of them.
_GATHER_SECONDS = 0.005
AssignmentQueue = asyncio.Queue[agents_pb2.Assignment | None]
RosterQueue = asyncio.Queue[agents_pb2.RecruitResponse | None]


class PoolHub:
    """Connects streams with the pool. For one event loop."""

    def __init__(self, most_runs: int | None = None) -> None:
        """Starts empty.

        Args:
            most_runs: Runs of a priority that may have a process at a time; None for any number.
        """
        self._pool = Pool(most_runs)
        self._agents: dict[str, AssignmentQueue] = {}
        self._runs: dict[str, RosterQueue] = {}
        self._told: dict[str, agents_pb2.RecruitResponse] = {}
        self._due: asyncio.TimerHandle | None = None

    async def run(self, holding: Holding) -> None:
        """Looks for agents that fell silent, until cancelled.

        Args:
            holding: When another replica holds the pool, all streams end.
        """
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._publish()
            if holding.holder():
                self._close_streams()

    def agents(self) -> list[trainer_pb2.Agent]:
        """Returns the connected agents by id, with what they are doing."""
        return self._pool.agents()

    def admit(self, due: Sequence[Demand], working: Collection[str]) -> set[str]:
        """Takes the runs that have no process yet into the queue.

        Args:
            due: What they will ask for.
            working: Names of the runs with a process.

        Returns:
            Those that are to begin now.
        """
        self._pool.expect(due, working)
        self._publish()
        now = time.monotonic()
        return {demand.run for demand in due if self._pool.may_begin(demand.run, now)}

    def queue_place(self, run: str) -> trainer_pb2.QueuePlace | None:
        """Returns a run's place in the queue; None where it does not wait for slots."""
        return self._pool.queue_place(run)

    @contextmanager
    def agent_stream(self, first: agents_pb2.JoinRequest) -> Iterator[AssignmentQueue]:
        """Keeps an agent in the pool; a stream of the same agent from before ends.

        Args:
            first: The agent's first message.

        Yields:
            What the agent is told; None ends its stream.
        """
        agent = first.agent.id
        queue: AssignmentQueue = asyncio.Queue()
        if agent in self._agents:
            self._agents[agent].put_nowait(None)
            self._pool.leave(agent)
        self._agents[agent] = queue
        self.hear(first)
        try:
            yield queue
        finally:
            if self._agents.get(agent) is queue:
                del self._agents[agent]
                self._pool.leave(agent)
                self._publish_soon()

    def hear(self, state: agents_pb2.JoinRequest) -> None:
        """Takes an agent's message."""
        state.agent.last_heartbeat.GetCurrentTime()
        if self._pool.hear(state, time.monotonic()):
            self._publish_soon()

    @contextmanager
    def run_stream(self, demand: Demand) -> Iterator[RosterQueue]:
        """Keeps a run's place in the pool; a stream of an earlier attempt ends.

        Args:
            demand: What the run asks for.

        Yields:
            What its coordinator is told; None ends its stream.

        Raises:
            StaleAttemptError: A newer attempt of the run has been seen.
        """
        self._pool.recruit(demand)
        queue: RosterQueue = asyncio.Queue()
        if demand.run in self._runs:
            self._runs[demand.run].put_nowait(None)
        self._runs[demand.run] = queue
        self._told.pop(demand.run, None)
        self._publish()
        try:
            yield queue
        finally:
            self._pool.withdraw(demand)
            if self._runs.get(demand.run) is queue:
                del self._runs[demand.run]
            self._publish_soon()

    def tell_run(self, run: str, message: agents_pb2.RecruitResponse) -> bool:
        """Tells a run's coordinator something. Returns whether there is one."""
        if run not in self._runs:
            return False
        self._runs[run].put_nowait(message)
        return True

    def _close_streams(self) -> None:
        """Ends all streams: this replica no longer holds the pool."""
        for assignments in self._agents.values():
            assignments.put_nowait(None)
        for rosters in self._runs.values():
            rosters.put_nowait(None)

    def _publish_soon(self) -> None:
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(_GATHER_SECONDS, self._publish)

    def _publish(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        plan = self._pool.plan(time.monotonic())
        for agent, assignment in plan.assignments.items():
            self._agents[agent].put_nowait(assignment)
        for run, roster in plan.rosters.items():
            known = _without_times(roster)
            if self._told.get(run) != known:
                self._told[run] = known
                self._runs[run].put_nowait(roster)


def _without_times(roster: agents_pb2.RecruitResponse) -> agents_pb2.RecruitResponse:
    copy = agents_pb2.RecruitResponse()
    copy.CopyFrom(roster)
    for agent in copy.agents:
        agent.ClearField("last_heartbeat")
    return copy

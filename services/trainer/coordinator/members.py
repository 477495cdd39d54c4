"""The agents that are attached to a run's coordinator."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from aimass.trainer.v1 import agents_pb2
from services.trainer.coordinator.changes import Changes

# An agent gives a sign of life every 250 ms.
SILENCE_SECONDS = 2.0


@dataclass
class Member:
    """An attached agent.

    Attributes:
        id: Its id.
        slots: Workers it can run.
        interface: Its network interface for Gloo.
        commit_step: Step of the run's newest commit on its host; -1 for none.
        world: World whose workers run on it or are about to; 0 for none.
        ready_slots: Workers it can start now.
        is_leaving: Whether it is about to end.
        is_wanted_back: Whether the pool wants to give it to another run.
        last_step: Step and time at which the workers that it stopped last had come the furthest.
        heard_at: When it last said something, in seconds of the monotonic clock.
        orders: What it is told; None ends the stream.
    """

    id: str
    slots: int
    interface: str
    commit_step: int = -1
    world: int = 0
    ready_slots: int = 0
    is_leaving: bool = False
    is_wanted_back: bool = False
    last_step: tuple[int, float] = (-1, 0.0)
    heard_at: float = field(default_factory=time.monotonic)
    orders: asyncio.Queue[agents_pb2.Order | None] = field(default_factory=asyncio.Queue)

    def order(self, order: agents_pb2.Order) -> None:
        """Tells the agent to do something."""
        self.orders.put_nowait(order)

    def is_silent(self, now: float) -> bool:
        """Whether it gave no sign of life for so long that it counts as frozen."""
        return now - self.heard_at > SILENCE_SECONDS

    def may_stay(self) -> bool:
        """Whether the run may keep it."""
        return not self.is_leaving and not self.is_wanted_back

    def is_usable(self, now: float) -> bool:
        """Whether workers of a new world can be started on it."""
        return (
            self.world == 0 and self.ready_slots > 0 and self.may_stay() and not self.is_silent(now)
        )


class Members:
    """The attached agents by id, in the order in which they came."""

    def __init__(
        self, changes: Changes, on_message: Callable[[str, agents_pb2.AttachRequest], None]
    ) -> None:
        """Starts without agents.

        Args:
            changes: Notified of every change.
            on_message: Takes what an agent says about its workers.
        """
        self._changes = changes
        self._on_message = on_message
        self._members: dict[str, Member] = {}
        self._wanted_back: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Member]:
        """Iterates over the members."""
        return iter(self._members.values())

    def get(self, agent_id: str) -> Member | None:
        """Returns a member, None where the agent is not attached."""
        return self._members.get(agent_id)

    def attach(self, attached: agents_pb2.AgentAttached) -> Member:
        """Takes an agent in; an older stream of the same agent ends."""
        agent = attached.agent
        before = self._members.pop(agent.id, None)
        if before is not None:
            before.orders.put_nowait(None)
        member = Member(
            id=agent.id,
            slots=agent.slots,
            interface=attached.interface,
            commit_step=attached.commit.step if attached.HasField("commit") else -1,
            world=attached.world,
            is_wanted_back=agent.id in self._wanted_back,
        )
        if member.world:
            # Its stream was lost for a while: that world has been given up meanwhile.
            member.order(agents_pb2.Order(stop_world=agents_pb2.StopWorld(world=member.world)))
        self._members[agent.id] = member
        self._changes.notify()
        return member

    def detach(self, member: Member) -> None:
        """Notes that an agent's stream ended."""
        if self._members.get(member.id) is member:
            del self._members[member.id]
            self._changes.notify()

    def hear(self, member: Member, message: agents_pb2.AttachRequest) -> None:
        """Takes what an agent says."""
        member.heard_at = time.monotonic()
        kind = message.WhichOneof("kind")
        if kind == "status":
            member.ready_slots = message.status.ready_slots
            member.is_leaving = message.status.leaving
        elif kind == "world_stopped":
            stopped = message.world_stopped
            member.commit_step = stopped.commit.step if stopped.HasField("commit") else -1
            member.last_step = max(member.last_step, (stopped.step or -1, member.heard_at))
            if stopped.world >= member.world:
                member.world = 0
        elif kind is not None:
            self._on_message(member.id, message)
        self._changes.notify()

    def take_last_step(self) -> tuple[int, float]:
        """Returns step and time up to which workers had come that are gone now, and forgets it."""
        newest = max((member.last_step for member in self), default=(-1, 0.0))
        for member in self:
            member.last_step = (-1, 0.0)
        return newest

    def want_back(self, agent_ids: Iterable[str]) -> None:
        """Notes which agents the pool wants to give to other runs."""
        self._wanted_back = frozenset(agent_ids)
        for member in self._members.values():
            member.is_wanted_back = member.id in self._wanted_back
        self._changes.notify()

    def let_go(self, member: Member) -> None:
        """Tells an agent that the run needs it no more."""
        member.order(agents_pb2.Order(finish=agents_pb2.Finish()))
        member.orders.put_nowait(None)

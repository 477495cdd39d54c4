"""Faults that are injected into a live run: who is hit, and how it is told."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import FailedPreconditionError
from services.trainer.coordinator.members import Members
from services.trainer.coordinator.world import Seat

_AGENT_KINDS = {
    trainer_pb2.FAULT_KIND_KILL_AGENT: "is killed",
    trainer_pb2.FAULT_KIND_CUT_LINK: "is cut off",
}
_WORKER_KINDS = {
    trainer_pb2.FAULT_KIND_KILL_WORKER: "is killed",
    trainer_pb2.FAULT_KIND_FREEZE_WORKER: "is stopped",
    trainer_pb2.FAULT_KIND_SLOW_WORKER: "is slowed down",
    trainer_pb2.FAULT_KIND_NAN_BATCH: "gets a batch that gives NaN",
}
# Longer than events wait before they are stored: the run's log is to say who wanted this.
_LAST_SECONDS = 0.5


def inject(
    fault: agents_pb2.Fault, seats: Sequence[Seat], members: Members, say: Callable[[str], None]
) -> agents_pb2.FaultAnswer:
    """Has a fault done, and tells of it.

    Args:
        fault: The fault.
        seats: The workers that live; none between two worlds.
        members: The attached agents.
        say: Tells the run's watchers.
    """
    try:
        done = _order(fault, seats, members)
    except FailedPreconditionError as error:
        return agents_pb2.FaultAnswer(number=fault.number, refused=error.message)
    say(f"fault injected by {fault.caller}: {done}")
    return agents_pb2.FaultAnswer(number=fault.number, done=done)


def _order(fault: agents_pb2.Fault, seats: Sequence[Seat], members: Members) -> str:
    """Orders a fault and returns what is done."""
    if fault.kind == trainer_pb2.FAULT_KIND_KILL_COORDINATOR:
        loop = asyncio.get_running_loop()
        loop.call_later(_LAST_SECONDS, os.kill, os.getpid(), signal.SIGKILL)
        return "the run's own process is killed"
    if fault.kind in _AGENT_KINDS:
        agent = fault.agent or _seat(seats, 0).agent
        _tell(members, agent, fault)
        return f"{agent} {_AGENT_KINDS[fault.kind]}"
    seat = _seat(seats, fault.rank)
    _tell(members, seat.agent, fault)
    return f"worker {seat.rank} on {seat.agent} {_WORKER_KINDS[fault.kind]}"


def _seat(seats: Sequence[Seat], rank: int) -> Seat:
    found = next((seat for seat in seats if seat.rank == rank), None)
    if found is None:
        raise FailedPreconditionError(
            f"The run has no worker {rank} now; it has {len(seats)} workers."
        )
    return found


def _tell(members: Members, agent: str, fault: agents_pb2.Fault) -> None:
    member = members.get(agent)
    if member is None:
        names = ", ".join(each.id for each in members) or "none"
        raise FailedPreconditionError(
            f"{agent} does not work for the run now; its agents: {names}."
        )
    member.order(agents_pb2.Order(inject_fault=fault))

"""Which agents make up a world, and when another world would be better. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from aimass.trainer.v1 import trainer_pb2
from services.trainer.coordinator.members import Member
from services.trainer.coordinator.rendezvous import Host
from services.trainer.coordinator.world import Seat, World


@dataclass(frozen=True)
class CrewSize:
    """How many workers a run uses; see `WorkerRange`.

    Attributes:
        min: With fewer the run waits.
        wanted: With as many it starts at once.
        max: It never uses more.
        wait_seconds: How long it waits with fewer than `min` before it fails.
    """

    min: int
    wanted: int
    max: int
    wait_seconds: float

    @classmethod
    def of(cls, workers: trainer_pb2.WorkerRange) -> "CrewSize":
        """Reads a range in which everything is set."""
        wait = workers.wait_timeout.ToTimedelta().total_seconds()
        return cls(workers.min, workers.wanted, workers.max, wait)


def choose(usable: Sequence[Member], slots: int) -> list[Member]:
    """Returns the agents of the next world: the newest commit first, at most so many slots."""
    chosen: list[Member] = []
    for member in sorted(usable, key=lambda member: -member.commit_step):
        if slots > 0:
            chosen.append(member)
            slots -= member.ready_slots
    return chosen


def last_keeper(members: Sequence[Member], stored_step: int, now: float) -> Member | None:
    """Returns the agent without which the newest commit would be lost, if that agent goes.

    Args:
        members: The agents of the run; none of them has workers.
        stored_step: Step of the newest checkpoint in the store.
        now: Seconds of the monotonic clock.
    """
    there = [each for each in members if each.world == 0 and not each.is_silent(now)]
    newest = max((each.commit_step for each in there), default=-1)
    keepers = [each for each in there if each.commit_step == newest and each.ready_slots]
    if newest <= stored_step or not keepers or any(each.may_stay() for each in keepers):
        return None
    return keepers[0]


def hosts(crew: Sequence[Member], slots: int) -> list[Host]:
    """Returns each agent's part in a world of at most so many workers."""
    parts = []
    for member in crew:
        part = min(member.ready_slots, slots)
        slots -= part
        parts.append(Host(member.id, part, member.interface))
    return parts


def seats(parts: Sequence[Host]) -> list[Seat]:
    """Returns the workers by rank, as Horovod's `get_host_assignments` numbers them."""
    places = [(host.name, local_rank) for host in parts for local_rank in range(host.slots)]
    return [Seat(rank, agent, local_rank) for rank, (agent, local_rank) in enumerate(places)]


def planned_change(world: World, members: Sequence[Member], size: CrewSize, now: float) -> str:
    """Returns why another world would be better; empty where it would not, or not yet."""
    if not world.made_progress:
        return ""
    for member in members:
        if member.world != world.number:
            continue
        if member.is_leaving:
            return f"{member.id} leaves"
        if member.is_wanted_back:
            return f"{member.id} is needed by another run"
    if len(world.seats) >= size.max:
        return ""
    joined = [member.id for member in members if member.is_usable(now)]
    return f"{', '.join(joined)} joined" if joined else ""

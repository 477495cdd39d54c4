"""Who is hit by an injected fault, and what the run's watchers hear of it."""

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.coordinator.changes import Changes
from services.trainer.coordinator.injection import inject
from services.trainer.coordinator.members import Members
from services.trainer.coordinator.world import Seat

SEATS = [Seat(0, "a", 0), Seat(1, "b", 0)]


def injected(fault: agents_pb2.Fault) -> tuple[agents_pb2.FaultAnswer, list[str], list[str]]:
    """Injects a fault. Returns the answer, what was told, and who got an order."""
    members = Members(Changes(), lambda agent, message: None)
    for name in ("a", "b"):
        members.attach(agents_pb2.AgentAttached(agent=trainer_pb2.Agent(id=name, slots=1)))
    told: list[str] = []
    answer = inject(fault, SEATS, members, told.append)
    return answer, told, [member.id for member in members if not member.orders.empty()]


def test_fault_reaches_the_agent_of_the_rank() -> None:
    """And the run's log says who wanted it, and what was done."""
    kind = trainer_pb2.FAULT_KIND_FREEZE_WORKER
    fault = agents_pb2.Fault(number=7, kind=kind, rank=1, caller="ada")
    answer, told, ordered = injected(fault)
    assert (answer.number, answer.done) == (7, "worker 1 on b is stopped")
    assert told == ["fault injected by ada: worker 1 on b is stopped"]
    assert ordered == ["b"]


def test_agent_by_name_or_that_of_rank_0() -> None:
    """Faults of agents need no rank."""
    kind = trainer_pb2.FAULT_KIND_KILL_AGENT
    assert injected(agents_pb2.Fault(kind=kind, agent="b"))[2] == ["b"]
    assert injected(agents_pb2.Fault(kind=kind))[2] == ["a"]


def test_who_is_not_there_is_not_hit() -> None:
    """The answer says who is; nothing is told, nobody is harmed."""
    worker = agents_pb2.Fault(kind=trainer_pb2.FAULT_KIND_KILL_WORKER, rank=2)
    agent = agents_pb2.Fault(kind=trainer_pb2.FAULT_KIND_CUT_LINK, agent="c")
    for fault, word in ((worker, "no worker 2"), (agent, "its agents: a, b")):
        answer, told, ordered = injected(fault)
        assert word in answer.refused and not answer.done
        assert not told and not ordered

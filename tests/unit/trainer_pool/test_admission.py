"""Which runs get a process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.pool.admission import PoolAdmission
from services.trainer.pool.hub import PoolHub
from tests.support.holding import AlwaysHolding


class _HeldElsewhere:
    """Another replica has the pool."""

    def holder(self) -> str:
        """Its name."""
        return "another"


def run(
    name: str,
    least: int,
    created: int,
    priority: trainer_pb2.Priority.ValueType = trainer_pb2.PRIORITY_UNSPECIFIED,
) -> trainer_pb2.TrainingRun:
    """A run that waits for its process."""
    workers = trainer_pb2.WorkerRange(min=least, wanted=least, max=least)
    spec = trainer_pb2.TrainingSpec(workers=workers, priority=priority)
    made = trainer_pb2.TrainingRun(name=f"trainingRuns/{name}", spec=spec)
    made.status.create_time.FromSeconds(created)
    return made


@contextmanager
def hub_of(agents: int) -> Iterator[PoolHub]:
    """A pool with idle agents of one slot."""
    hub = PoolHub()
    with ExitStack() as stack:
        for number in range(agents):
            agent = trainer_pb2.Agent(id=f"agent-{number}", slots=1)
            stack.enter_context(hub.agent_stream(agents_pb2.JoinRequest(agent=agent)))
        yield hub


async def test_run_begins_when_its_minimum_can_be_had() -> None:
    """The others wait without a process, and know why."""
    due = [run("a", 2, 1), run("b", 2, 2), run("c", 1, 3)]
    with hub_of(3) as hub:
        admitted = PoolAdmission(hub, AlwaysHolding()).admit(due, ())
        place = hub.queue_place("trainingRuns/b")
    assert admitted == {"trainingRuns/a", "trainingRuns/c"}
    assert place is not None
    assert (place.position, place.slots_needed, place.slots_free) == (1, 2, 1)


def test_rank_is_by_priority_and_old_records_are_normal() -> None:
    """Runs that were stored before there were priorities stand among the usual ones."""
    admission = PoolAdmission(PoolHub(), AlwaysHolding())
    low, normal, high = (
        run("r", 1, 1, priority)
        for priority in (
            trainer_pb2.PRIORITY_LOW,
            trainer_pb2.PRIORITY_NORMAL,
            trainer_pb2.PRIORITY_HIGH,
        )
    )
    assert admission.rank(high) < admission.rank(normal) < admission.rank(low)
    assert admission.rank(run("r", 1, 1)) == admission.rank(normal)


def test_replica_without_the_pool_holds_nobody_up() -> None:
    """It does not know the agents."""
    due = [run("a", 2, 1)]
    admission = PoolAdmission(PoolHub(), _HeldElsewhere())
    assert admission.admit(due, ()) == {"trainingRuns/a"}

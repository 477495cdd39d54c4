"""Which training runs get a process: those whose minimum of slots the pool can give them."""

from collections.abc import Collection, Sequence

from aimass.trainer.v1 import trainer_pb2
from common.runs.kind import name_of
from services.trainer.pool.allocation import Demand
from services.trainer.pool.holding import Holding
from services.trainer.pool.hub import PoolHub


class PoolAdmission:
    """Puts runs without a process into the pool's queue. For the event loop of the hub."""

    def __init__(self, hub: PoolHub, holding: Holding) -> None:
        """Connects the two.

        Args:
            hub: The pool.
            holding: Says whether this replica holds it.
        """
        self._hub = hub
        self._holding = holding

    def rank(self, run: trainer_pb2.TrainingRun) -> int:
        """Returns the rank of a run's priority."""
        return -priority_of(run)

    def admit(
        self, due: Sequence[trainer_pb2.TrainingRun], working: Collection[str]
    ) -> Collection[str]:
        """Returns the runs that may begin; all where another replica holds the pool."""
        if self._holding.holder():
            return {name_of(run) for run in due}
        return self._hub.admit([expected_demand(run) for run in due], working)


def priority_of(run: trainer_pb2.TrainingRun) -> int:
    """Returns a run's priority, also of one that was stored before there were any."""
    return run.spec.priority or trainer_pb2.PRIORITY_NORMAL


def expected_demand(run: trainer_pb2.TrainingRun) -> Demand:
    """Returns what a run will ask for once it has a process."""
    workers = run.spec.workers
    return Demand(
        run=run.name,
        attempt=0,
        address="",
        token="",
        min=workers.min,
        wanted=workers.wanted,
        max=workers.max,
        priority=priority_of(run),
        created=run.status.create_time.ToNanoseconds(),
    )

"""A kind of run in a service: what starts its processes, follows them and answers for them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from common.artifacts import ObjectStore
from common.records import RecordStore
from common.runs.admission import Admission
from common.runs.executor import ExecutorTimes, LocalExecutor
from common.runs.kind import M, RunKind
from common.runs.service import RunService
from common.runs.tail import Tails


@asynccontextmanager
async def hosted_runs(
    kind: RunKind[M],
    store: ObjectStore,
    records: RecordStore,
    command: Sequence[str],
    limit: int,
    spares: int = 2,
    times: ExecutorTimes | None = None,
    admission: Admission[M] | None = None,
) -> AsyncIterator[RunService[M]]:
    """Works on the runs of a kind until it is left; the processes of runs live on.

    Args:
        kind: Kind of the runs.
        store: The object store.
        records: The suite's resources.
        command: Program and arguments of a run's process.
        limit: At most so many runs of a rank work at a time.
        spares: Processes that are started ahead: a run then need not wait for its imports.
        times: Of the executor: runs that keep something when they are cancelled need longer.
        admission: Says who comes first, and who may begin; None for all by age.

    Yields:
        What a servicer asks.
    """
    tails = Tails(kind, store, records)
    executor = LocalExecutor(
        kind,
        store,
        records,
        command,
        limit,
        times,
        changed=tails.poke,
        spares=spares,
        admission=admission,
    )
    await executor.start()
    try:
        yield RunService(kind, records, tails, executor)
    finally:
        await executor.stop()
        await tails.close()

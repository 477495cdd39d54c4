"""Calls the trainer again and again, and a server that does nothing beside it.

`python -m tests.benchmarks.queue.meter TRAINER RUNS SEED` creates the runs and calls until all of
them have ended; then it prints the times of all calls in seconds, by method, as JSON.
"""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import run_pb2
from common.testing.server import channel_to

_PRIORITIES = (
    trainer_pb2.PRIORITY_LOW,
    trainer_pb2.PRIORITY_NORMAL,
    trainer_pb2.PRIORITY_NORMAL,
    trainer_pb2.PRIORITY_HIGH,
)
_PAUSE_SECONDS = 0.02
_LIMIT_SECONDS = 600.0
_OPEN = "state!=SUCCEEDED AND state!=FAILED AND state!=CANCELLED"


class Meter:
    """Calls and notes how long each took, as the caller sees it."""

    def __init__(
        self, trainer: grpc.aio.Channel, bare: grpc.aio.Channel, runs: int, seed: int
    ) -> None:
        """Prepares.

        Args:
            trainer: To the trainer.
            bare: To a server that does nothing.
            runs: Number of runs to create.
            seed: Of the runs' sizes and of the order of calls.
        """
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.longest_queue = 0
        self._stub = trainer_pb2_grpc.TrainingServiceStub(trainer)
        self._bare = health_pb2_grpc.HealthStub(bare)
        self._runs = runs
        self._random = random.Random(seed)
        self._names: list[str] = []

    async def work(self) -> None:
        """Creates all runs, then calls until they have ended."""
        for number in range(self._runs):
            await self._create(number)
            if number % 4 == 0:
                await self._call_all()
        end = time.monotonic() + _LIMIT_SECONDS
        while await self._call_all():
            if time.monotonic() > end:
                raise TimeoutError("the queue is not worked off")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _create(self, number: int) -> None:
        least = self._random.choice((1, 1, 2, 4, 8))
        workers = trainer_pb2.WorkerRange(min=least, wanted=2 * least, max=2 * least)
        workers.wait_timeout.FromSeconds(600)
        run = trainer_pb2.TrainingRun(
            spec=trainer_pb2.TrainingSpec(
                workers=workers, priority=self._random.choice(_PRIORITIES)
            ),
            labels={"seconds": f"{self._random.uniform(0.5, 3.0):.2f}", "number": str(number)},
        )
        request = trainer_pb2.CreateTrainingRunRequest(training_run=run)
        created = await self._timed("CreateTrainingRun", self._stub.CreateTrainingRun(request))
        self._names.append(created.name)

    async def _call_all(self) -> bool:
        """Makes a call of each method. Returns whether there are runs that have not ended."""
        name = self._random.choice(self._names)
        get = self._stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))
        await self._timed("GetTrainingRun", get)
        await self._timed("bare server", self._bare.Check(health_pb2.HealthCheckRequest()))
        request = trainer_pb2.ListTrainingRunsRequest(filter=_OPEN, page_size=50)
        listed = await self._timed("ListTrainingRuns", self._stub.ListTrainingRuns(request))
        found = listed.training_runs
        waiting = [each.queue.position for each in found if each.HasField("queue")]
        self.longest_queue = max([self.longest_queue, *waiting])
        await self._timed("ListAgents", self._stub.ListAgents(trainer_pb2.ListAgentsRequest()))
        if self._random.random() < 0.02 and found:
            cancel = trainer_pb2.CancelTrainingRunRequest(name=self._random.choice(found).name)
            await self._timed("CancelTrainingRun", self._stub.CancelTrainingRun(cancel))
        return bool(found)

    async def _timed(self, method: str, call: Awaitable[Any]) -> Any:
        start = time.perf_counter()
        answer = await call
        self.seconds[method].append(time.perf_counter() - start)
        return answer

    async def ends(self) -> dict[str, int]:
        """Returns how many runs ended how."""
        counts: dict[str, int] = defaultdict(int)
        for name in self._names:
            run = await self._stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))
            counts[run_pb2.RunState.Name(run.status.state).removeprefix("RUN_STATE_")] += 1
        return counts


async def main(trainer: str, bare: str, runs: int, seed: int) -> None:
    """Measures, and prints what it found."""
    async with channel_to(trainer) as first, channel_to(bare) as second:
        meter = Meter(first, second, runs, seed)
        await meter.work()
        found = {
            "seconds": meter.seconds,
            "queue": meter.longest_queue,
            "ends": await meter.ends(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

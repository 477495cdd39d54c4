"""The trainer of the benchmark: the real one, but for what needs data and torch.

Its specifications are taken as they come, since there is no catalog, and its runs' processes are
those of `tests.benchmarks.queue.jobs`. `python -m tests.benchmarks.queue.server FOLDER`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aimass.trainer.v1 import trainer_pb2
from common.config import ServerSettings
from common.host.allocator import spare_collector
from common.serving.server import start_server
from common.testing.server import token_table
from services.trainer import app
from services.trainer.servicer import TrainingServicer
from tests.benchmarks.queue.jobs import client_command

METHODS = (
    "CreateTrainingRun",
    "GetTrainingRun",
    "ListTrainingRuns",
    "CancelTrainingRun",
    "ListAgents",
)
SECONDS: dict[str, list[float]] = {method: [] for method in METHODS}


class TakesAll:
    """Stands where the validator does: a specification is as it is given."""

    def __init__(self, *parts: object, **settings: object) -> None:
        """Needs nothing."""

    async def resolve(
        self, spec: trainer_pb2.TrainingSpec, *more: object
    ) -> trainer_pb2.TrainingRun:
        """Returns the run."""
        return trainer_pb2.TrainingRun(spec=spec)


class Timed(TrainingServicer):
    """Notes the processor time that the trainer's process used during each call.

    It is more than what the call itself took, since others are worked on meanwhile.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        for method in METHODS:
            setattr(self, method, _timed(method, getattr(self, method)))


def _timed(method: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def timed(request: object, context: object) -> object:
        start = time.process_time()
        try:
            return await call(request, context)
        finally:
            SECONDS[method].append(time.process_time() - start)

    return timed


class LongestHold:
    """The longest that any callback held the event loop, in processor time of its thread."""

    def __init__(self) -> None:
        """Measures from now on."""
        self.seconds = 0.0
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            start = time.thread_time()
            run(handle)
            self.seconds = max(self.seconds, time.thread_time() - start)

        setattr(asyncio.Handle, "_run", measured)  # noqa: B010 - not to be assigned to, says mypy


async def main(folder: Path) -> None:
    """Serves until standard input ends, then says what it measured."""
    setattr(app, "Validator", TakesAll)  # noqa: B010 - of a module that does not export it
    setattr(app, "TrainingServicer", Timed)  # noqa: B010
    app.JOB = client_command(folder)
    async with app.app() as services:
        spare_collector()
        server = await start_server(services, ServerSettings(drain_seconds=0), token_table())
        hold = LongestHold()
        print(server.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        used = time.process_time()
        await server.stop(0)
    print(json.dumps({"hold": hold.seconds, "used": used, "calls": SECONDS}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

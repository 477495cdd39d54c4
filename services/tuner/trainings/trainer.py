"""What the arm of trainings asks of the trainer. One that is away for long is done without."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from common import client
from common.config import ClientSettings

_PATIENCE_SECONDS = 20.0
_RETRY_SECONDS = 0.3
_CALL_SECONDS = 10.0
_ENDING_SECONDS = 2.0
# All calls here may be repeated: reads, and writes to named resources.
_PASSING = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)
_Answer = TypeVar("_Answer")


class TrainerError(Exception):
    """The trainer refuses, or is away for too long: one sentence."""


class Trainer:
    """The trainer's RPCs that the arm needs.

    The connection lasts for a question: none is open while the run's process starts others.
    """

    def __init__(self, reach: ClientSettings | None = None) -> None:
        """Connects to nothing yet.

        Args:
            reach: Where the trainer is, and the token to show; by default as in the environment.
        """
        self._reach = reach or ClientSettings()

    def idle_slots(self) -> int:
        """Returns how many workers could begin at once."""
        request = trainer_pb2.ListAgentsRequest()
        found = self._ask(lambda stub: stub.ListAgents(request, timeout=_CALL_SECONDS))
        return sum(agent.slots for agent in found.agents if not agent.training_run)

    def runs(self, filtered: str) -> list[trainer_pb2.TrainingRun]:
        """Returns the newest runs that match a filter, the oldest of them first."""
        request = trainer_pb2.ListTrainingRunsRequest(page_size=100, filter=filtered)
        found = self._ask(lambda stub: stub.ListTrainingRuns(request, timeout=_CALL_SECONDS))
        return list(reversed(found.training_runs))

    def estimate(self, run: trainer_pb2.TrainingRun) -> float:
        """Returns about how many seconds a run would train."""
        request = trainer_pb2.CreateTrainingRunRequest(training_run=run, validate_only=True)
        found = self._ask(lambda stub: stub.CreateTrainingRun(request, timeout=_CALL_SECONDS))
        return found.estimate.duration.ToNanoseconds() / 1e9

    def create(
        self, run: trainer_pb2.TrainingRun, name: str, request_id: str
    ) -> trainer_pb2.TrainingRun:
        """Starts a run.

        Args:
            run: What to train.
            name: Id of the run.
            request_id: A UUID: a call that is made again starts nothing twice.
        """
        request = trainer_pb2.CreateTrainingRunRequest(
            training_run=run, training_run_id=name, request_id=request_id
        )
        return self._ask(lambda stub: stub.CreateTrainingRun(request, timeout=_CALL_SECONDS))

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        """Returns a run."""
        request = trainer_pb2.GetTrainingRunRequest(name=name)
        return self._ask(lambda stub: stub.GetTrainingRun(request, timeout=_CALL_SECONDS))

    def cancel(self, name: str) -> None:
        """Asks a run to stop; what cannot be asked soon ends by itself, for its epochs are few."""
        request = trainer_pb2.CancelTrainingRunRequest(name=name)
        self._ask(
            lambda stub: stub.CancelTrainingRun(request, timeout=_ENDING_SECONDS), _ENDING_SECONDS
        )

    def _ask(
        self,
        call: Callable[["trainer_pb2_grpc.TrainingServiceAsyncStub"], Awaitable[_Answer]],
        patience: float = _PATIENCE_SECONDS,
    ) -> _Answer:
        async def ask() -> _Answer:
            async with client.connect(self._reach.trainer_address, self._reach.token) as channel:
                stub = trainer_pb2_grpc.TrainingServiceStub(channel)
                return await _patiently(call, stub, patience)

        return asyncio.run(ask())


async def _patiently(
    call: Callable[["trainer_pb2_grpc.TrainingServiceAsyncStub"], Awaitable[_Answer]],
    stub: "trainer_pb2_grpc.TrainingServiceAsyncStub",
    patience: float,
) -> _Answer:
    deadline = time.monotonic() + patience
    while True:
        try:
            return await call(stub)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _PASSING:
                raise TrainerError(f"The trainer refuses: {error.details()}") from None
            if time.monotonic() > deadline:
                raise TrainerError("The trainer cannot be reached.") from None
        await asyncio.sleep(_RETRY_SECONDS)

"""Trainings that another run has made. A trainer that is away for long is done without."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar

import grpc

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import run_pb2
from common.calls import client
from common.calls.patience import AwayError, patiently
from common.config import ClientSettings
from common.names import ModelName

ENDED = (run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED)
"""States of a training that is over."""

_PATIENCE_SECONDS = 20.0
_CALL_SECONDS = 10.0
_ENDING_SECONDS = 2.0
_LONGEST_ID = 63
_Answer = TypeVar("_Answer")


class TrainerError(Exception):
    """The trainer refuses, or is away for too long: one sentence."""


class Trainer(Protocol):
    """What is asked of the trainer. Each call raises `TrainerError`."""

    def idle_slots(self) -> int:
        """Returns how many workers could begin at once."""
        ...

    def runs(self, filtered: str) -> list[trainer_pb2.TrainingRun]:
        """Returns the newest runs that match a filter, the oldest of them first."""
        ...

    def estimate(self, run: trainer_pb2.TrainingRun) -> float:
        """Returns about how many seconds a run would train."""
        ...

    def create(
        self, run: trainer_pb2.TrainingRun, name: str, request_id: str
    ) -> trainer_pb2.TrainingRun:
        """Starts a run.

        Args:
            run: What to train.
            name: Id of the run.
            request_id: A UUID: a call that is made again starts nothing twice.
        """
        ...

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        """Returns a run."""
        ...

    def cancel(self, name: str) -> None:
        """Asks a run to stop; what cannot be asked soon ends by itself, for its time is bounded."""
        ...


class RemoteTrainer:
    """The trainer's RPCs.

    The connection lasts for a question: none is open while the run's process starts others.
    """

    def __init__(
        self,
        reach: ClientSettings | None = None,
        patience: float = _PATIENCE_SECONDS,
        until: float = 0.0,
    ) -> None:
        """Connects to nothing yet.

        Args:
            reach: Where the trainer is, and the token to show; by default as in the environment.
            patience: Seconds that a trainer which is away is waited for.
            until: Until when it is, on the monotonic clock, where that is later.
        """
        self._reach = reach or ClientSettings()
        self._patience = patience
        self._until = until

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
        """Starts a run; see `Trainer`."""
        request = trainer_pb2.CreateTrainingRunRequest(
            training_run=run, training_run_id=name, request_id=request_id
        )
        return self._ask(lambda stub: stub.CreateTrainingRun(request, timeout=_CALL_SECONDS))

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        """Returns a run."""
        request = trainer_pb2.GetTrainingRunRequest(name=name)
        return self._ask(lambda stub: stub.GetTrainingRun(request, timeout=_CALL_SECONDS))

    def cancel(self, name: str) -> None:
        """Asks a run to stop; see `Trainer`."""
        request = trainer_pb2.CancelTrainingRunRequest(name=name)
        self._ask(
            lambda stub: stub.CancelTrainingRun(request, timeout=_ENDING_SECONDS), _ENDING_SECONDS
        )

    def _ask(
        self,
        call: Callable[["trainer_pb2_grpc.TrainingServiceAsyncStub"], Awaitable[_Answer]],
        patience: float | None = None,
    ) -> _Answer:
        async def ask() -> _Answer:
            async with client.connect(self._reach.trainer_address, self._reach.token) as channel:
                stub = trainer_pb2_grpc.TrainingServiceStub(channel)
                longest = max(self._patience, self._until - time.monotonic())
                return await patiently(lambda: call(stub), patience or longest)

        try:
            return asyncio.run(ask())
        except grpc.aio.AioRpcError as error:
            raise TrainerError(f"The trainer refuses: {error.details()}") from None
        except AwayError:
            raise TrainerError("The trainer cannot be reached.") from None


class Trainings:
    """The trainings of a run, one after the other: named after it, with a label."""

    def __init__(self, trainer: Trainer, label: str, run: str, labels: Mapping[str, str]) -> None:
        """Has made none yet.

        Args:
            trainer: Who trains.
            label: Of the trainings that belong to a run; its value is the run's id.
            run: Name of the run.
            labels: Of the run; its trainings have them too.
        """
        self._trainer = trainer
        self._id = run.rpartition("/")[2]
        self._label = label
        self._labels = {**labels, label: self._id}
        self._running = ""
        self._count = 0

    def leave_no_other(self) -> None:
        """Cancels what an earlier attempt at the run has left. Raises `TrainerError`."""
        for run in self._trainer.runs(f"labels.{self._label}={self._id}"):
            self._count += 1
            if run.status.state not in ENDED:
                self._trainer.cancel(run.name)

    def create(self, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
        """Starts a training. Raises `TrainerError`."""
        self._count += 1
        tail = f"-net-{self._count}"
        name = f"{self._id[: _LONGEST_ID - len(tail)].rstrip('-')}{tail}"
        made = self._trainer.create(self.run(spec), name, str(uuid.uuid4()))
        self._running = made.name
        return made

    def run(self, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
        """Returns what is asked for: the specification with its labels."""
        return trainer_pb2.TrainingRun(spec=spec, labels=self._labels)

    def ended(self) -> None:
        """Says that the training is over."""
        self._running = ""

    def cancel(self) -> None:
        """Cancels what is under way, if anything; not being able to costs the rest of its time."""
        name, self._running = self._running, ""
        if name:
            with suppress(TrainerError):
                self._trainer.cancel(name)


def networks_model(model: str) -> str:
    """Returns the name of the model whose versions are trained on the way to a model."""
    tail = "-networks"
    short = ModelName.from_name(model).id[: _LONGEST_ID - len(tail)].rstrip("-")
    return ModelName(f"{short}{tail}").name

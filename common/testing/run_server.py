"""A real server in front of runs, for tests: the generic half of a service, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.protobuf.message import Message

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import event_pb2
from common.identity import caller
from common.records import RecordStore, RequestId
from common.runs.kind import name_of
from common.runs.service import RunService
from common.runs.tail import Tails
from common.serving.server import Service
from common.testing.runs_contract import Runs
from common.testing.sample_job import KIND
from common.testing.server import running_server

SERVICE = "aimass.trainer.v1.TrainingService"


class Kicks:
    """Stands where the executor does, and notes what it is told.

    Attributes:
        names: Runs that were created, in order.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def kick(self, run: Message | None = None) -> None:
        """Notes a run."""
        if run is not None:
            self.names.append(name_of(run))


class RunServicer(trainer_pb2_grpc.TrainingServiceServicer):
    """Passes calls on to a `RunService`."""

    def __init__(self, service: RunService[trainer_pb2.TrainingRun]) -> None:
        self._service = service

    async def CreateTrainingRun(  # noqa: N802
        self, request: trainer_pb2.CreateTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Creates without a look at the specification."""
        method = f"/{SERVICE}/CreateTrainingRun"
        return await self._service.create(
            request.training_run,
            run_id=request.training_run_id,
            request=RequestId.of(caller().subject, method, request.request_id, request),
            validate_only=request.validate_only,
        )

    async def GetTrainingRun(  # noqa: N802
        self, request: trainer_pb2.GetTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Gets."""
        return await self._service.get(request.name)

    async def WatchTrainingRun(  # noqa: N802
        self, request: trainer_pb2.WatchTrainingRunRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Watches."""
        async for event in self._service.watch(request.name, request.after_sequence):
            yield event

    async def CancelTrainingRun(  # noqa: N802
        self, request: trainer_pb2.CancelTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Cancels."""
        return await self._service.cancel(request.name)


@dataclass(frozen=True)
class RunServer:
    """A running server.

    Attributes:
        address: `host:port`.
        kicks: What the executor was told.
    """

    address: str
    kicks: Kicks


@asynccontextmanager
async def run_server(runs: Runs, port: int = 0, heartbeat: float = 5.0) -> AsyncIterator[RunServer]:
    """Serves the runs of a store.

    Args:
        runs: The runs.
        port: The port; 0 takes a free one.
        heartbeat: Seconds after which an idle watch sends a heartbeat.

    Yields:
        The server.
    """
    kicks = Kicks()
    records = RecordStore(runs.store)
    tails = Tails(KIND, runs.store, records, heartbeat)
    servicer = RunServicer(RunService(KIND, records, tails, kicks))  # type: ignore[abstract]
    service = Service(
        SERVICE,
        lambda server: trainer_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server),
    )
    async with running_server([service], port) as address:
        try:
            yield RunServer(address, kicks)
        finally:
            await tails.close()

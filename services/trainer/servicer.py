"""TrainingService: check, convert, call, return."""

from collections.abc import AsyncIterator

import grpc
from google.protobuf import empty_pb2

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import event_pb2
from common.errors import InvalidFieldError
from common.identity import caller
from common.records import RequestId
from common.runs.kind import is_terminal
from common.runs.service import RunService
from services.trainer.pool.hub import PoolHub
from services.trainer.pool.injection import Injections
from services.trainer.validation import Validator

# What an estimate learns from need not be the newest.
_EARLIER_RUNS = 50
_EARLIER_AGE_SECONDS = 60.0
_METHOD = "/aimass.trainer.v1.TrainingService/CreateTrainingRun"


class TrainingServicer(trainer_pb2_grpc.TrainingServiceServicer):
    """Training runs as resources.

    Args:
        runs: The generic part of all runs.
        validator: Resolves specifications.
        hub: The pool of agents.
        injections: Hands faults to coordinators.
    """

    def __init__(
        self,
        runs: RunService[trainer_pb2.TrainingRun],
        validator: Validator,
        hub: PoolHub,
        injections: Injections,
    ) -> None:
        self._runs = runs
        self._validator = validator
        self._hub = hub
        self._injections = injections

    async def CreateTrainingRun(
        self,
        request: trainer_pb2.CreateTrainingRunRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.CreateTrainingRunRequest, trainer_pb2.TrainingRun
        ],
    ) -> trainer_pb2.TrainingRun:
        """Resolves the specification and accepts the run."""
        if not request.training_run.HasField("spec"):
            raise InvalidFieldError(
                "training_run.spec", "Is required; give `dataset_version` and `model`."
            )
        earlier = await self._runs.list(
            filter="state=SUCCEEDED", page_size=_EARLIER_RUNS, max_age=_EARLIER_AGE_SECONDS
        )
        run = await self._validator.resolve(request.training_run.spec, earlier.resources)
        run.labels.update(request.training_run.labels)
        references = [
            run.spec.dataset_version,
            run.spec.parent_model_version,
            run.spec.distillation.teacher_model_version,
            run.spec.outliers.scan,
        ]
        return await self._runs.create(
            run,
            run_id=request.training_run_id,
            request=RequestId.of(caller().subject, _METHOD, request.request_id, request),
            validate_only=request.validate_only,
            references=[name for name in dict.fromkeys(references) if name],
        )

    async def GetTrainingRun(
        self,
        request: trainer_pb2.GetTrainingRunRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.GetTrainingRunRequest, trainer_pb2.TrainingRun
        ],
    ) -> trainer_pb2.TrainingRun:
        """Returns a run."""
        return self._placed(await self._runs.get(request.name))

    async def ListTrainingRuns(
        self,
        request: trainer_pb2.ListTrainingRunsRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.ListTrainingRunsRequest, trainer_pb2.ListTrainingRunsResponse
        ],
    ) -> trainer_pb2.ListTrainingRunsResponse:
        """Returns a page of runs."""
        page = await self._runs.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return trainer_pb2.ListTrainingRunsResponse(
            training_runs=map(self._placed, page.resources), next_page_token=page.next_page_token
        )

    async def WatchTrainingRun(
        self,
        request: trainer_pb2.WatchTrainingRunRequest,
        context: grpc.aio.ServicerContext[trainer_pb2.WatchTrainingRunRequest, event_pb2.Event],
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams the events of a run."""
        async for event in self._runs.watch(request.name, request.after_sequence):
            yield event

    async def CancelTrainingRun(
        self,
        request: trainer_pb2.CancelTrainingRunRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.CancelTrainingRunRequest, trainer_pb2.TrainingRun
        ],
    ) -> trainer_pb2.TrainingRun:
        """Asks a run to stop."""
        return await self._runs.cancel(request.name)

    async def DeleteTrainingRun(
        self,
        request: trainer_pb2.DeleteTrainingRunRequest,
        context: grpc.aio.ServicerContext[trainer_pb2.DeleteTrainingRunRequest, empty_pb2.Empty],
    ) -> empty_pb2.Empty:
        """Deletes a run that ended."""
        await self._runs.delete(request.name)
        return empty_pb2.Empty()

    def _placed(self, run: trainer_pb2.TrainingRun) -> trainer_pb2.TrainingRun:
        """Returns a run with its place in the queue, if it waits."""
        place = self._hub.queue_place(run.name)
        if place is None or is_terminal(run):
            return run
        placed = trainer_pb2.TrainingRun(queue=place)
        placed.MergeFrom(run)  # what the records hand out is theirs
        return placed

    async def ListAgents(
        self,
        request: trainer_pb2.ListAgentsRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.ListAgentsRequest, trainer_pb2.ListAgentsResponse
        ],
    ) -> trainer_pb2.ListAgentsResponse:
        """Lists the connected agents."""
        return trainer_pb2.ListAgentsResponse(agents=self._hub.agents())

    async def InjectFault(
        self,
        request: trainer_pb2.InjectFaultRequest,
        context: grpc.aio.ServicerContext[
            trainer_pb2.InjectFaultRequest, trainer_pb2.InjectFaultResponse
        ],
    ) -> trainer_pb2.InjectFaultResponse:
        """Does harm to a live run."""
        self._injections.require_allowed()
        await self._runs.get(request.name)
        done = await self._injections.inject(request, caller().subject)
        return trainer_pb2.InjectFaultResponse(done=done)

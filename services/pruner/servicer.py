"""PrunerService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf import empty_pb2

from aimass.pruner.v1 import pruner_pb2, pruner_pb2_grpc
from aimass.type.v1 import event_pb2
from common.errors import InvalidFieldError
from common.identity import caller
from common.records import RequestId
from common.runs.service import RunService
from services.pruner.applying import Applying
from services.pruner.convert import methods_to_proto
from services.pruner.points import PointPages
from services.pruner.validation import Validator

_CREATE = "/aimass.pruner.v1.PrunerService/CreatePruningRun"


class PrunerServicer(pruner_pb2_grpc.PrunerServiceServicer):
    """Prunings as resources.

    Args:
        runs: The generic part of all runs.
        validator: Resolves specifications.
        points: Reads what prunings have measured.
        applying: Makes points model versions.
    """

    def __init__(
        self,
        runs: RunService[pruner_pb2.PruningRun],
        validator: Validator,
        points: PointPages,
        applying: Applying,
    ) -> None:
        self._runs = runs
        self._validator = validator
        self._points = points
        self._applying = applying

    async def CreatePruningRun(
        self, request: pruner_pb2.CreatePruningRunRequest, context: object
    ) -> pruner_pb2.PruningRun:
        """Resolves the specification and accepts the pruning."""
        if not request.pruning_run.HasField("spec"):
            raise InvalidFieldError("pruning_run.spec", "Is required; give `model_version`.")
        identity = RequestId.of(caller().subject, _CREATE, request.request_id, request)
        run = await self._validator.resolve(request.pruning_run.spec)
        run.labels.update(request.pruning_run.labels)
        return await self._runs.create(
            run,
            run_id=request.pruning_run_id,
            request=identity,
            validate_only=request.validate_only,
            references=[run.spec.model_version, run.spec.dataset_version],
        )

    async def GetPruningRun(
        self, request: pruner_pb2.GetPruningRunRequest, context: object
    ) -> pruner_pb2.PruningRun:
        """Returns a pruning."""
        return await self._runs.get(request.name)

    async def ListPruningRuns(
        self, request: pruner_pb2.ListPruningRunsRequest, context: object
    ) -> pruner_pb2.ListPruningRunsResponse:
        """Returns a page of prunings."""
        page = await self._runs.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pruner_pb2.ListPruningRunsResponse(
            pruning_runs=page.resources, next_page_token=page.next_page_token
        )

    async def WatchPruningRun(
        self, request: pruner_pb2.WatchPruningRunRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams the events of a pruning."""
        async for event in self._runs.watch(request.name, request.after_sequence):
            yield event

    async def CancelPruningRun(
        self, request: pruner_pb2.CancelPruningRunRequest, context: object
    ) -> pruner_pb2.PruningRun:
        """Asks a pruning to stop."""
        return await self._runs.cancel(request.name)

    async def DeletePruningRun(
        self, request: pruner_pb2.DeletePruningRunRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a pruning that ended."""
        await self._runs.delete(request.name)
        return empty_pb2.Empty()

    async def ListPoints(
        self, request: pruner_pb2.ListPointsRequest, context: object
    ) -> pruner_pb2.ListPointsResponse:
        """Returns a page of what a pruning has measured."""
        run = await self._runs.get(request.name)
        return await asyncio.to_thread(self._points.page, run, request)

    async def ApplyPoint(
        self, request: pruner_pb2.ApplyPointRequest, context: object
    ) -> pruner_pb2.ApplyPointResponse:
        """Makes a point a model version."""
        if not request.point:
            raise InvalidFieldError("point", "Is required; see ListPoints.")
        run = await self._runs.get(request.name)
        return await self._applying.apply(run, request.point)

    async def ListMethods(
        self, request: pruner_pb2.ListMethodsRequest, context: object
    ) -> pruner_pb2.ListMethodsResponse:
        """Returns the methods that there are."""
        return methods_to_proto()

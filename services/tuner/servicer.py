"""TunerService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf import empty_pb2

from aimass.tuner.v1 import tuner_pb2, tuner_pb2_grpc
from aimass.type.v1 import event_pb2
from common.errors import InvalidFieldError
from common.identity import caller
from common.records import RequestId
from common.runs.service import RunService
from services.tuner.convert import families_to_proto
from services.tuner.portfolio import OwnPortfolio
from services.tuner.portfolio_pages import PortfolioPages
from services.tuner.results import CandidatePages
from services.tuner.validation import Validator

_CREATE = "/aimass.tuner.v1.TunerService/CreateTuningRun"


class TunerServicer(tuner_pb2_grpc.TunerServiceServicer):
    """Searches as resources.

    Args:
        runs: The generic part of all runs.
        validator: Resolves specifications.
        candidates: Reads what searches tried.
        own: What searches have found, for others.
    """

    def __init__(
        self,
        runs: RunService[tuner_pb2.TuningRun],
        validator: Validator,
        candidates: CandidatePages,
        own: OwnPortfolio,
    ) -> None:
        self._runs = runs
        self._validator = validator
        self._candidates = candidates
        self._own = own
        self._portfolio = PortfolioPages(own)

    async def CreateTuningRun(
        self, request: tuner_pb2.CreateTuningRunRequest, context: object
    ) -> tuner_pb2.TuningRun:
        """Resolves the specification and accepts the search."""
        if not request.tuning_run.HasField("spec"):
            raise InvalidFieldError("tuning_run.spec", "Is required; give `dataset_version`.")
        identity = RequestId.of(caller().subject, _CREATE, request.request_id, request)
        run = await self._validator.resolve(request.tuning_run.spec)
        run.labels.update(request.tuning_run.labels)
        return await self._runs.create(
            run,
            run_id=request.tuning_run_id,
            request=identity,
            validate_only=request.validate_only,
            references=_references(run.spec),
        )

    async def GetTuningRun(
        self, request: tuner_pb2.GetTuningRunRequest, context: object
    ) -> tuner_pb2.TuningRun:
        """Returns a search."""
        return await self._runs.get(request.name)

    async def ListTuningRuns(
        self, request: tuner_pb2.ListTuningRunsRequest, context: object
    ) -> tuner_pb2.ListTuningRunsResponse:
        """Returns a page of searches."""
        page = await self._runs.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return tuner_pb2.ListTuningRunsResponse(
            tuning_runs=page.resources, next_page_token=page.next_page_token
        )

    async def WatchTuningRun(
        self, request: tuner_pb2.WatchTuningRunRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams the events of a search."""
        async for event in self._runs.watch(request.name, request.after_sequence):
            yield event

    async def CancelTuningRun(
        self, request: tuner_pb2.CancelTuningRunRequest, context: object
    ) -> tuner_pb2.TuningRun:
        """Asks a search to stop."""
        return await self._runs.cancel(request.name)

    async def DeleteTuningRun(
        self, request: tuner_pb2.DeleteTuningRunRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a search that ended, and what others know of it."""
        await self._runs.delete(request.name)
        await asyncio.to_thread(self._own.forget, request.name)
        return empty_pb2.Empty()

    async def ListCandidates(
        self, request: tuner_pb2.ListCandidatesRequest, context: object
    ) -> tuner_pb2.ListCandidatesResponse:
        """Returns a page of what a search tried."""
        run = await self._runs.get(request.name)
        return await asyncio.to_thread(self._candidates.page, run, request)

    async def ListFamilies(
        self, request: tuner_pb2.ListFamiliesRequest, context: object
    ) -> tuner_pb2.ListFamiliesResponse:
        """Returns the families that there are."""
        return families_to_proto()

    async def ListPortfolio(
        self, request: tuner_pb2.ListPortfolioRequest, context: object
    ) -> tuner_pb2.ListPortfolioResponse:
        """Returns a page of what is known of other data."""
        return await asyncio.to_thread(self._portfolio.page, request)


def _references(spec: tuner_pb2.TuningSpec) -> list[str]:
    """Returns what must stay as long as a search does."""
    return list(filter(None, (spec.dataset_version, spec.continue_from, spec.outliers.scan)))

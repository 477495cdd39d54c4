"""AnalyzerService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf import empty_pb2
from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2, analyzer_pb2_grpc
from aimass.type.v1 import event_pb2
from common.artifacts import ObjectStore
from common.errors import InvalidFieldError
from common.identity import caller
from common.records import RequestId
from common.runs.kind import check_labels
from common.runs.service import RunService
from services.analyzer.results import read_results
from services.analyzer.validation import Validator

_SERVICE = "/aimass.analyzer.v1.AnalyzerService"
_LEAST_COMPARED = 2


class AnalyzerServicer(analyzer_pb2_grpc.AnalyzerServiceServicer):
    """Analyses as resources.

    Args:
        runs: The generic part of all runs.
        validator: Resolves specifications.
        store: Where results are.
    """

    def __init__(
        self, runs: RunService[analyzer_pb2.Analysis], validator: Validator, store: ObjectStore
    ) -> None:
        self._runs = runs
        self._validator = validator
        self._store = store

    async def CreateAnalysis(
        self, request: analyzer_pb2.CreateAnalysisRequest, context: object
    ) -> analyzer_pb2.Analysis:
        """Resolves the specification and accepts the analysis."""
        if not request.analysis.HasField("spec"):
            raise InvalidFieldError("analysis.spec", "Is required; give `model_version`.")
        identity = _identity("CreateAnalysis", request.request_id, request)
        analysis = await self._validator.resolve(request.analysis.spec, is_comparison=False)
        analysis.labels.update(request.analysis.labels)
        return await self._create(analysis, request.analysis_id, identity, request.validate_only)

    async def CompareModels(
        self, request: analyzer_pb2.CompareModelsRequest, context: object
    ) -> analyzer_pb2.Analysis:
        """Resolves the comparison and accepts it as an analysis."""
        spec = _compared(request)
        check_labels(request.labels, "labels")
        identity = _identity("CompareModels", request.request_id, request)
        analysis = await self._validator.resolve(spec, is_comparison=True)
        analysis.labels.update(request.labels)
        return await self._create(analysis, request.analysis_id, identity, request.validate_only)

    async def GetAnalysis(
        self, request: analyzer_pb2.GetAnalysisRequest, context: object
    ) -> analyzer_pb2.Analysis:
        """Returns an analysis."""
        return await self._runs.get(request.name)

    async def ListAnalyses(
        self, request: analyzer_pb2.ListAnalysesRequest, context: object
    ) -> analyzer_pb2.ListAnalysesResponse:
        """Returns a page of analyses."""
        page = await self._runs.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return analyzer_pb2.ListAnalysesResponse(
            analyses=page.resources, next_page_token=page.next_page_token
        )

    async def WatchAnalysis(
        self, request: analyzer_pb2.WatchAnalysisRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams the events of an analysis."""
        async for event in self._runs.watch(request.name, request.after_sequence):
            yield event

    async def CancelAnalysis(
        self, request: analyzer_pb2.CancelAnalysisRequest, context: object
    ) -> analyzer_pb2.Analysis:
        """Asks an analysis to stop."""
        return await self._runs.cancel(request.name)

    async def DeleteAnalysis(
        self, request: analyzer_pb2.DeleteAnalysisRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes an analysis that ended."""
        await self._runs.delete(request.name)
        return empty_pb2.Empty()

    async def GetAnalysisResults(
        self, request: analyzer_pb2.GetAnalysisResultsRequest, context: object
    ) -> analyzer_pb2.AnalysisResults:
        """Returns what the parts found."""
        analysis = await self._runs.get(request.name)
        return await asyncio.to_thread(read_results, self._store, analysis, request.parts)

    async def _create(
        self,
        analysis: analyzer_pb2.Analysis,
        analysis_id: str,
        identity: RequestId | None,
        validate_only: bool,
    ) -> analyzer_pb2.Analysis:
        spec = analysis.spec
        named = [spec.model_version, *spec.challengers, spec.dataset_version, spec.outlier_scan]
        return await self._runs.create(
            analysis,
            run_id=analysis_id,
            request=identity,
            validate_only=validate_only,
            references=[name for name in named if name],
        )


def _identity(method: str, request_id: str, request: Message) -> RequestId | None:
    return RequestId.of(caller().subject, f"{_SERVICE}/{method}", request_id, request)


def _compared(request: analyzer_pb2.CompareModelsRequest) -> analyzer_pb2.AnalysisSpec:
    """Returns the specification of a comparison."""
    for name in ("model_version", "challengers"):
        if getattr(request.options, name):
            raise InvalidFieldError(f"options.{name}", "must be unset; use `model_versions`.")
    if len(request.model_versions) < _LEAST_COMPARED:
        raise InvalidFieldError(
            "model_versions", "must be 2 to 8 model versions, the baseline first."
        )
    spec = analyzer_pb2.AnalysisSpec()
    spec.CopyFrom(request.options)
    spec.model_version = request.model_versions[0]
    spec.challengers.extend(request.model_versions[1:])
    return spec

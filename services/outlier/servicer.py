"""OutlierService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf import empty_pb2

from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc, scorer_pb2
from aimass.type.v1 import event_pb2
from common.errors import InvalidFieldError
from common.identity import caller
from common.names import OutlierFeedbackName, OutlierStreamName
from common.records import RecordStore, RequestId
from common.runs.service import RunService
from services.outlier.anomalies import AnomalyPages
from services.outlier.feedback import FeedbackBox
from services.outlier.pool import ScorerPool
from services.outlier.scoring import Scoring
from services.outlier.subjects import Subjects
from services.outlier.validation import Validator

_SERVICE = "/aimass.outlier.v1.OutlierService"


class OutlierServicer(outlier_pb2_grpc.OutlierServiceServicer):
    """Scans as resources, scores of rows and streams, feedback.

    Args:
        runs: The generic part of all runs.
        validator: Resolves specifications.
        scoring: Scores batches and streams.
        scorers: Know the detectors.
        anomalies: Marked rows of scans.
        subjects: Finds what feedback is about.
        feedback: Where feedback is kept.
        records: The suite's resources.
    """

    def __init__(
        self,
        runs: RunService[outlier_pb2.OutlierScan],
        validator: Validator,
        scoring: Scoring,
        scorers: ScorerPool,
        anomalies: AnomalyPages,
        subjects: Subjects,
        feedback: FeedbackBox,
        records: RecordStore,
    ) -> None:
        self._runs = runs
        self._validator = validator
        self._scoring = scoring
        self._scorers = scorers
        self._anomalies = anomalies
        self._subjects = subjects
        self._feedback = feedback
        self._records = records

    async def CreateOutlierScan(
        self, request: outlier_pb2.CreateOutlierScanRequest, context: object
    ) -> outlier_pb2.OutlierScan:
        """Resolves the specification and accepts the scan."""
        if not request.outlier_scan.HasField("spec"):
            raise InvalidFieldError("outlier_scan.spec", "Is required; give `dataset_version`.")
        method = f"{_SERVICE}/CreateOutlierScan"
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        scan = await self._validator.resolve(request.outlier_scan.spec)
        scan.labels.update(request.outlier_scan.labels)
        return await self._runs.create(
            scan,
            run_id=request.outlier_scan_id,
            request=identity,
            validate_only=request.validate_only,
            references=[scan.spec.dataset_version],
        )

    async def GetOutlierScan(
        self, request: outlier_pb2.GetOutlierScanRequest, context: object
    ) -> outlier_pb2.OutlierScan:
        """Returns a scan."""
        return await self._runs.get(request.name)

    async def ListOutlierScans(
        self, request: outlier_pb2.ListOutlierScansRequest, context: object
    ) -> outlier_pb2.ListOutlierScansResponse:
        """Returns a page of scans."""
        page = await self._runs.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return outlier_pb2.ListOutlierScansResponse(
            outlier_scans=page.resources, next_page_token=page.next_page_token
        )

    async def WatchOutlierScan(
        self, request: outlier_pb2.WatchOutlierScanRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams the events of a scan."""
        async for event in self._runs.watch(request.name, request.after_sequence):
            yield event

    async def CancelOutlierScan(
        self, request: outlier_pb2.CancelOutlierScanRequest, context: object
    ) -> outlier_pb2.OutlierScan:
        """Asks a scan to stop."""
        return await self._runs.cancel(request.name)

    async def DeleteOutlierScan(
        self, request: outlier_pb2.DeleteOutlierScanRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a scan that ended."""
        await self._runs.delete(request.name)
        return empty_pb2.Empty()

    async def ListAnomalies(
        self, request: outlier_pb2.ListAnomaliesRequest, context: object
    ) -> outlier_pb2.ListAnomaliesResponse:
        """Returns a page of a scan's marked rows."""
        scan = await self._subjects.finished_scan(request.parent, "parent")
        return await asyncio.to_thread(self._anomalies.page, scan, request)

    async def ListDetectors(
        self, request: outlier_pb2.ListDetectorsRequest, context: object
    ) -> outlier_pb2.ListDetectorsResponse:
        """Lists the detectors."""
        question = scorer_pb2.ScorerQuestion(list_detectors=request)
        return await self._scorers.ask(question, outlier_pb2.ListDetectorsResponse)

    async def Score(
        self, request: outlier_pb2.ScoreRequest, context: object
    ) -> outlier_pb2.ScoreResponse:
        """Scores a batch."""
        return await self._scoring.score(request)

    async def ScoreStream(
        self, request_iterator: AsyncIterator[outlier_pb2.ScoreStreamRequest], context: object
    ) -> AsyncIterator[outlier_pb2.ScoreStreamResponse]:
        """Scores rows as they come."""
        async with aclosing(self._scoring.stream(request_iterator)) as responses:
            async for response in responses:
                yield response

    async def ReportFeedback(
        self, request: outlier_pb2.ReportFeedbackRequest, context: object
    ) -> outlier_pb2.OutlierFeedback:
        """Stores true labels."""
        method = f"{_SERVICE}/ReportFeedback"
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        feedback, rows = await self._subjects.accept(request)
        return await asyncio.to_thread(self._feedback.add, feedback, rows, identity)

    async def ListOutlierFeedback(
        self, request: outlier_pb2.ListOutlierFeedbackRequest, context: object
    ) -> outlier_pb2.ListOutlierFeedbackResponse:
        """Returns a page of feedback."""
        page = await asyncio.to_thread(
            self._records.list,
            OutlierFeedbackName.collection,
            outlier_pb2.OutlierFeedback,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return outlier_pb2.ListOutlierFeedbackResponse(
            feedback=page.resources, next_page_token=page.next_page_token
        )

    async def DeleteOutlierFeedback(
        self, request: outlier_pb2.DeleteOutlierFeedbackRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes feedback."""
        name = OutlierFeedbackName.from_name(request.name).name
        await asyncio.to_thread(self._feedback.delete, name)
        return empty_pb2.Empty()

    async def GetOutlierStream(
        self, request: outlier_pb2.GetOutlierStreamRequest, context: object
    ) -> outlier_pb2.OutlierStream:
        """Returns a stream."""
        name = OutlierStreamName.from_name(request.name).name
        record = await asyncio.to_thread(self._records.get, name, outlier_pb2.OutlierStream)
        return record.resource

    async def ListOutlierStreams(
        self, request: outlier_pb2.ListOutlierStreamsRequest, context: object
    ) -> outlier_pb2.ListOutlierStreamsResponse:
        """Returns a page of streams."""
        page = await asyncio.to_thread(
            self._records.list,
            OutlierStreamName.collection,
            outlier_pb2.OutlierStream,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return outlier_pb2.ListOutlierStreamsResponse(
            outlier_streams=page.resources, next_page_token=page.next_page_token
        )

    async def DeleteOutlierStream(
        self, request: outlier_pb2.DeleteOutlierStreamRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a stream with what was learned."""
        name = OutlierStreamName.from_name(request.name).name
        await asyncio.to_thread(
            self._records.delete, name, outlier_pb2.OutlierStream, purge=[f"{name}/"]
        )
        await asyncio.to_thread(self._feedback.forget, name)
        return empty_pb2.Empty()

"""What calls are about: scans, detectors, streams; and whether feedback fits them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from google.protobuf import empty_pb2

from aimass.catalog.v1 import model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from aimass.type.v1 import run_pb2
from common.errors import FailedPreconditionError, InvalidFieldError
from common.names import DatasetVersionName, ModelVersionName, OutlierScanName, OutlierStreamName
from common.records import RecordStore
from common.wording import quoted
from services.outlier.pool import ScorerPool

_MOST_ROWS = 10_000

Accepted = tuple[outlier_pb2.OutlierFeedback, scorer_pb2.LabelledRows]


class Subjects:
    """Finds scans, detectors and streams by name.

    Args:
        models: Stub of the catalog's models.
        records: The suite's resources.
        scorers: Check labelled rows.
    """

    def __init__(
        self,
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        records: RecordStore,
        scorers: ScorerPool,
    ) -> None:
        self._models = models
        self._records = records
        self._scorers = scorers

    async def finished_scan(self, name: str, field: str) -> outlier_pb2.OutlierScan:
        """Returns a scan.

        Raises:
            InvalidFieldError: It is no name of a scan.
            NotFoundError: There is none.
            FailedPreconditionError: It has not succeeded.
        """
        name = OutlierScanName.from_name(name, field).name
        record = await asyncio.to_thread(self._records.get, name, outlier_pb2.OutlierScan)
        scan = record.resource
        if scan.status.state != run_pb2.RUN_STATE_SUCCEEDED:
            state = run_pb2.RunState.Name(scan.status.state).removeprefix("RUN_STATE_")
            raise FailedPreconditionError(
                f"{name} is {state}; its anomalies are known once it has SUCCEEDED.",
                reason="SCAN_NOT_SUCCEEDED",
            )
        return scan

    async def detector(self, name: str, field: str) -> model_pb2.ModelVersion:
        """Returns the model version of a scan's detector.

        Raises:
            InvalidFieldError: It is no name of a model version, or another kind of model.
        """
        if not name:
            raise InvalidFieldError(field, "Is required: the `model_version` of a scan.")
        request = model_pb2.GetModelVersionRequest(
            name=ModelVersionName.from_name(name, field).name
        )
        version = await self._models.GetModelVersion(request)
        if version.format != model_pb2.MODEL_FORMAT_DETECTOR:
            raise InvalidFieldError(
                field, f"{version.name} is no outlier detector; name the `model_version` of a scan"
            )
        return version

    async def accept(self, request: outlier_pb2.ReportFeedbackRequest) -> Accepted:
        """Returns feedback that can be stored, and its rows.

        Raises:
            InvalidFieldError: Names the field that is wrong, and the cure.
            NotFoundError: There is no such subject.
        """
        collection = request.subject.partition("/")[0]
        accept = {
            OutlierScanName.collection: self._of_scan,
            ModelVersionName.collection: self._of_detector,
            OutlierStreamName.collection: self._of_stream,
        }.get(collection)
        if accept is None:
            raise InvalidFieldError(
                "subject",
                "must be a scan, a detector's model version, or an online stream, not "
                f"{quoted(request.subject)}",
            )
        feedback = await accept(request)
        rows = scorer_pb2.LabelledRows(row_numbers=request.row_numbers, anomalous=request.anomalous)
        if request.HasField("rows"):
            rows.rows.CopyFrom(request.rows)
        return feedback, rows

    async def _of_scan(
        self, request: outlier_pb2.ReportFeedbackRequest
    ) -> outlier_pb2.OutlierFeedback:
        scan = await self.finished_scan(request.subject, "subject")
        if request.HasField("rows"):
            raise InvalidFieldError("rows", "the scan knows its rows; give `row_numbers` instead")
        _check_numbers(request, scan.summary.row_count)
        _check_count(request, len(request.row_numbers))
        version = scan.spec.dataset_version
        return outlier_pb2.OutlierFeedback(
            learner=_dataset_of(version), subject=scan.name, dataset_version=version
        )

    async def _of_detector(
        self, request: outlier_pb2.ReportFeedbackRequest
    ) -> outlier_pb2.OutlierFeedback:
        version = await self.detector(request.subject, "subject")
        if request.row_numbers:
            raise InvalidFieldError(
                "row_numbers", "a detector does not know its rows by number; give `rows` only"
            )
        await self._check_rows(request, scorer_pb2.CheckRows(detector=version))
        learned_from = _dataset_among(version.lineage.inputs)
        return outlier_pb2.OutlierFeedback(learner=_dataset_of(learned_from), subject=version.name)

    async def _of_stream(
        self, request: outlier_pb2.ReportFeedbackRequest
    ) -> outlier_pb2.OutlierFeedback:
        name = OutlierStreamName.from_name(request.subject, "subject").name
        record = await asyncio.to_thread(self._records.get, name, outlier_pb2.OutlierStream)
        columns = record.resource.columns
        if not columns:
            raise FailedPreconditionError(
                f"{name} has not saved any row yet; report feedback after it has.",
                reason="STREAM_IS_EMPTY",
            )
        if request.row_numbers:
            if len(request.row_numbers) != len(request.anomalous):
                raise InvalidFieldError(
                    "row_numbers",
                    f"must be one for each row, {len(request.anomalous)}, or none at all; there "
                    f"are {len(request.row_numbers)}",
                )
            _check_numbers(request, None)
        await self._check_rows(request, scorer_pb2.CheckRows(stream_columns=columns))
        return outlier_pb2.OutlierFeedback(learner=name, subject=name)

    async def _check_rows(
        self, request: outlier_pb2.ReportFeedbackRequest, check: scorer_pb2.CheckRows
    ) -> None:
        if not request.HasField("rows"):
            raise InvalidFieldError("rows", "Is required: the rows that are labelled.")
        check.rows.CopyFrom(request.rows)
        await self._scorers.ask(scorer_pb2.ScorerQuestion(check=check), empty_pb2.Empty)
        column = request.rows.columns[0]
        kind = column.WhichOneof("values")
        _check_count(request, len(getattr(column, kind).values) if kind else 0)


def _check_numbers(request: outlier_pb2.ReportFeedbackRequest, row_count: int | None) -> None:
    """Checks the numbers of rows; of a stream nobody knows yet how many there are."""
    numbers: Sequence[int] = request.row_numbers
    if not 1 <= len(numbers) <= _MOST_ROWS:
        raise InvalidFieldError(
            "row_numbers", f"must be 1 to {_MOST_ROWS:,} numbers of rows, not {len(numbers):,}"
        )
    for index, number in enumerate(numbers):
        if number < 0 or (row_count is not None and number >= row_count):
            most = "or more, a row of the stream"
            if row_count is not None:
                most = f"to {row_count - 1}, a row of the scanned data"
            raise InvalidFieldError(f"row_numbers[{index}]", f"must be 0 {most}; it is {number}")
    (twice, count), *_ = Counter(numbers).most_common(1)
    if count > 1:
        raise InvalidFieldError("row_numbers", f"names row {twice} twice; name each row once")


def _check_count(request: outlier_pb2.ReportFeedbackRequest, count: int) -> None:
    if len(request.anomalous) != count:
        raise InvalidFieldError(
            "anomalous", f"must be one for each row: {count}, not {len(request.anomalous)}"
        )


def _dataset_of(version: str) -> str:
    return DatasetVersionName.from_name(version).parent.name


def _dataset_among(inputs: Sequence[str]) -> str:
    """Returns the data set version that a detector learned from.

    Raises:
        InvalidFieldError: It is not known: somebody else than a scan made the detector.
    """
    prefix = f"{DatasetVersionName.collection}/"
    for name in inputs:
        if name.startswith(prefix):
            return name
    raise InvalidFieldError("subject", "must be the detector of a scan, which knows its data set")

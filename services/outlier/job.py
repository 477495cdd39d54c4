"""Entry point of a scan's own process: `python -m services.outlier.job SCAN | --standby`."""

import sys
from contextlib import suppress

import numpy as np

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from aimass.type.v1 import artifact_pb2, event_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.calls.catalog import ask_catalog
from common.errors import FailedPreconditionError, UnavailableError
from common.names import DatasetVersionName
from common.runs.job import run_job
from common.runs.owner import RunOwner
from common.runs.scratch import scratch_folder
from services.outlier.anomalies import MOST_LISTED
from services.outlier.convert import (
    anomalies_to_proto,
    specification_from_proto,
    summary_to_proto,
)
from services.outlier.detector_files import write_detector
from services.outlier.domain.detector import UnfitError
from services.outlier.domain.findings import Findings, find_anomalies
from services.outlier.domain.keeping import NotKeptError
from services.outlier.domain.page.scan_page import scan_page
from services.outlier.domain.scan import ScanResult, Stage, scan
from services.outlier.domain.table import read_rows
from services.outlier.feedback import FeedbackBox
from services.outlier.kind import OUTLIER_SCANS
from services.outlier.known import read_known
from services.outlier.results import draw_sample, page_of, write_scores
from services.outlier.settlement import Settlement
from services.outlier.stored import StoredTable

Owner = RunOwner[outlier_pb2.OutlierScan]

_PARQUET = "application/vnd.apache.parquet"
_HTML = "text/html; charset=utf-8"
_PROTOBUF = "application/x-protobuf"
_CURE = "make room there, or set TMPDIR to a folder with room, and scan again"
_VECTOR_ROWS = 16
# Shares of the progress at which stages begin, and what they do.
_STAGES = {
    Stage.READING: (0.0, 0.15),
    Stage.FITTING: (0.15, 0.4),
    Stage.SCORING: (0.4, 0.85),
    Stage.EXPLAINING: (0.85, 0.95),
}


def run_scan(owner: Owner) -> None:
    """Scans what the run asks for and publishes what was found."""
    try:
        _Scan(owner).work()
    except UnfitError as error:
        raise FailedPreconditionError(
            f"The data cannot be scanned: {str(error).rstrip('.')}.",
            reason="DATA_CANNOT_BE_SCANNED",
        ) from error


class _Scan:
    """One attempt."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._store = owner.store
        self._prefix = f"{owner.attempt_prefix}scan/"
        self._specification = specification_from_proto(owner.run.spec)

    def work(self) -> None:
        name = self._specification.dataset_version
        version = ask_catalog(lambda catalog: catalog.dataset_version(name))
        table = StoredTable(version, self._store, self._specification.columns)
        known = read_known(
            self._specification,
            version,
            self._store,
            self._feedback(),
            self._warn,
            self._check_cancelled,
        )
        settlement = Settlement(self._owner)
        result = scan(
            table,
            self._specification.options,
            self._progress,
            known,
            settlement.read(),
            settlement.write,
        )
        findings = find_anomalies(
            table, result, MOST_LISTED, self._specification.explained_rows, self._progress
        )
        try:
            found = self._publish(version, table, result, findings)
            detector = self._put_detector(version, table, result, found)
        except Exception:
            with suppress(UnavailableError):
                purge_prefix(self._store, self._prefix)
            raise
        # From here on the files may be those of a version that exists, or that another attempt
        # makes: if nobody comes to refer to them, they are swept.
        if detector is not None:
            self._register(detector, found)
        self._owner.succeed(lambda run: run.MergeFrom(found))

    def _publish(
        self,
        version: dataset_pb2.DatasetVersion,
        table: StoredTable,
        result: ScanResult,
        findings: Findings,
    ) -> outlier_pb2.OutlierScan:
        """Returns what the run gets: results, and where they are."""
        self._owner.progress(0.95, "publishing")
        with scratch_folder("scan", self._owner.run, None, _CURE) as folder:
            path = folder / "scores.parquet"
            expected_share = write_scores(result, path, self._check_cancelled)
            scores = put_artifact(self._store, f"{self._prefix}scores.parquet", path, _PARQUET)
        sample = draw_sample(table, result, self._specification.seed, self._check_cancelled)
        page = scan_page(page_of(self._owner.name, version.name, table, result, findings, sample))
        return outlier_pb2.OutlierScan(
            summary=summary_to_proto(result, findings, expected_share),
            scores=scores,
            page=self._put("page.html", page.encode(), _HTML),
            anomalies=self._put(
                "anomalies.binpb", anomalies_to_proto(findings).SerializeToString(), _PROTOBUF
            ),
        )

    def _put_detector(
        self,
        version: dataset_pb2.DatasetVersion,
        table: StoredTable,
        result: ScanResult,
        found: outlier_pb2.OutlierScan,
    ) -> model_pb2.ModelVersion | None:
        """Stores the detector, where it is to be kept; what cannot be kept is said."""
        if not self._specification.keep_detector:
            return None
        count = min(_VECTOR_ROWS, table.row_count)
        sample = read_rows(table, np.arange(count), self._check_cancelled)
        try:
            files = write_detector(
                self._store, f"{self._prefix}detector/", result.detector, version.schema, sample
            )
        except NotKeptError as error:
            found.summary.not_kept = str(error)
            self._warn(f"The detector is not kept: {error}")
            return None
        model = model_pb2.ModelVersion(
            task=dataset_pb2.TASK_UNSUPERVISED,
            format=model_pb2.MODEL_FORMAT_DETECTOR,
            artifacts=files,
            metrics={
                "marked_share": found.summary.marked_count / found.summary.row_count,
                "threshold": found.summary.threshold,
            },
            labels=self._owner.run.labels,
        )
        model.lineage.inputs.extend([version.name, self._owner.name])
        return model

    def _register(self, detector: model_pb2.ModelVersion, found: outlier_pb2.OutlierScan) -> None:
        name = self._specification.model
        made = ask_catalog(lambda catalog: catalog.register(self._owner, name, detector))
        found.model_version = made.name
        found.status.lineage.outputs.append(made.name)

    def _put(self, file: str, content: bytes, media_type: str) -> artifact_pb2.ArtifactRef:
        return put_artifact(self._store, f"{self._prefix}{file}", content, media_type)

    def _feedback(self) -> list[tuple[outlier_pb2.OutlierFeedback, scorer_pb2.LabelledRows]]:
        if not self._specification.use_feedback:
            return []
        dataset = DatasetVersionName.from_name(self._specification.dataset_version).parent.name
        box = FeedbackBox(self._store, self._owner.records)
        return list(box.before(dataset, self._owner.run.status.create_time))

    def _progress(self, stage: Stage, done: int, rows: int) -> None:
        self._owner.check_cancelled()
        begin, end = _STAGES[stage]
        self._owner.progress(begin + (end - begin) * done / max(rows, 1), stage)

    def _warn(self, text: str) -> None:
        self._owner.log(text, event_pb2.SEVERITY_WARNING, source="scan")

    def _check_cancelled(self, _rows: int = 0) -> None:
        self._owner.check_cancelled()


def main() -> int:
    """Works on one scan; returns the exit code of the process."""
    return run_job(OUTLIER_SCANS, run_scan, resumes=False)


if __name__ == "__main__":
    sys.exit(main())

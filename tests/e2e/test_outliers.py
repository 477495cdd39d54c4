"""The outlier service as its users meet it: scans, scores, streams, feedback, and faults."""

import io
import uuid

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.type.v1 import run_pb2, table_pb2
from common.artifacts.blobs import read_artifact
from common.calls import client
from common.testing.suite import RunningSuite
from tests.e2e.outlier_data import (
    COLUMNS,
    ODD_ROWS,
    QUICK,
    make_payments,
    rows_of,
    table_of,
)

pytestmark = pytest.mark.slow

PAYMENTS = make_payments(4000)


@pytest.fixture(scope="module")
def payments(suite: RunningSuite) -> str:
    """Imports the payments. Returns the version's name."""
    return suite.import_dataset("payments", "payments.csv", PAYMENTS.csv)


@pytest.fixture(scope="module")
def scanned(suite: RunningSuite, payments: str) -> outlier_pb2.OutlierScan:
    """A scan that has ended, of the detectors that the service chose."""
    return suite.scan(outlier_pb2.OutlierScanSpec(dataset_version=payments, columns=COLUMNS))


def test_scan_marks_the_odd_rows_and_says_why(
    suite: RunningSuite, scanned: outlier_pb2.OutlierScan
) -> None:
    """The whole main path: odd rows come first, with the columns that make them odd."""
    assert scanned.status.state == run_pb2.RUN_STATE_SUCCEEDED, scanned.status.error
    request = outlier_pb2.ListAnomaliesRequest(parent=scanned.name, page_size=ODD_ROWS)
    page = suite.outliers.ListAnomalies(request)
    assert {each.row for each in page.anomalies} == set(range(ODD_ROWS))
    assert [each.rank for each in page.anomalies] == list(range(1, ODD_ROWS + 1))
    for each in page.anomalies:
        strongest = {reason.column for reason in each.explanation.reasons[:2]}
        assert strongest == {"distance", "age"}
        assert not set(each.explanation.nearest_rows) & set(range(ODD_ROWS))
        assert each.probability > 0.5
    assert scanned.summary.marked_count >= ODD_ROWS
    assert scanned.summary.groups[0].row_count >= ODD_ROWS


def test_anomalies_come_in_pages(suite: RunningSuite, scanned: outlier_pb2.OutlierScan) -> None:
    """Every marked row is listed once, whatever the page size; a foreign token is refused."""
    rows: list[int] = []
    token = ""
    while True:
        page = suite.outliers.ListAnomalies(
            outlier_pb2.ListAnomaliesRequest(parent=scanned.name, page_size=7, page_token=token)
        )
        rows += [each.row for each in page.anomalies]
        token = page.next_page_token
        if not token:
            break
    assert len(rows) == len(set(rows)) == scanned.summary.marked_count
    with pytest.raises(grpc.RpcError) as raised:
        suite.outliers.ListAnomalies(
            outlier_pb2.ListAnomaliesRequest(parent=scanned.name, page_token="abc")
        )
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_scores_have_a_row_for_each_row(
    suite: RunningSuite, scanned: outlier_pb2.OutlierScan
) -> None:
    """Other services read marks by row number: the file is in the data's order, and consistent."""
    content = b"".join(read_artifact(suite.store, scanned.scores))
    scores = pq.read_table(io.BytesIO(content)).to_pydict()
    assert list(scores) == ["score", "probability", "p_value", "rank", "marked"]
    assert len(scores["score"]) == len(PAYMENTS.numbers) == scanned.summary.row_count
    assert sorted(scores["rank"]) == list(range(1, len(PAYMENTS.numbers) + 1))
    assert all(scores["marked"][:ODD_ROWS])
    assert sum(scores["marked"]) == scanned.summary.marked_count
    order = np.argsort(scores["rank"])
    assert (np.diff(np.array(scores["score"])[order]) <= 0).all()


def test_page_is_kept(suite: RunningSuite, scanned: outlier_pb2.OutlierScan) -> None:
    """The page can be downloaded, is HTML and is about this scan."""
    page = b"".join(read_artifact(suite.store, scanned.page)).decode()
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert scanned.name in page


def test_detector_is_a_model_version_that_scores_alike(
    suite: RunningSuite, scanned: outlier_pb2.OutlierScan
) -> None:
    """What was learned scores rows as the scan did, from a file without pickle."""
    version = suite.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(name=scanned.model_version)
    )
    assert version.format == model_pb2.MODEL_FORMAT_DETECTOR
    assert set(version.artifacts) == {"detector", "configuration", "samples"}
    assert scanned.name in version.lineage.inputs
    answer = suite.outliers.Score(
        outlier_pb2.ScoreRequest(
            detector=f"{scanned.model_version.rpartition('/')[0]}/latest",
            rows=rows_of(PAYMENTS, slice(0, 50)),
            explain=True,
        )
    )
    content = b"".join(read_artifact(suite.store, scanned.scores))
    kept = pq.read_table(io.BytesIO(content)).slice(0, 50).to_pydict()
    assert answer.detector == scanned.model_version
    np.testing.assert_allclose(answer.scored.scores, kept["score"], rtol=1e-6)
    assert list(answer.scored.marked) == kept["marked"]
    assert set(answer.scored.explanations) == set(np.flatnonzero(kept["marked"]).tolist())


def test_labels_teach(suite: RunningSuite, payments: str) -> None:
    """Known labels are used, or it is said why they are not; the column explains nothing."""
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=payments,
        detectors=QUICK,
        known_labels=outlier_pb2.KnownLabels(column="fraud"),
        keep_detector=False,
    )
    scan = suite.scan(spec)
    assert scan.spec.columns == list(COLUMNS)
    assert scan.spec.known_labels.anomalies == ["yes"]
    assert scan.model_version == ""
    reasons = {each.name: each.reason for each in scan.summary.left_out}
    assert scan.summary.label_count > 0 or "semi_supervised" in reasons


def test_feedback_is_learned_by_the_next_scan(suite: RunningSuite) -> None:
    """Rows that are reported as anomalies are odder in the next scan, on new versions as well."""
    data = make_payments(3000, seed=5)
    version = suite.import_dataset("fed", "fed.csv", data.csv)
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=version, columns=COLUMNS, detectors=QUICK, keep_detector=False
    )
    before = suite.scan(spec)
    wires = [row for row, kind in enumerate(data.kinds) if kind == "wire" and row >= ODD_ROWS]
    others = [row for row, kind in enumerate(data.kinds) if kind != "wire" and row >= ODD_ROWS]
    rows = [*wires[:40], *others[:100]]
    report = outlier_pb2.ReportFeedbackRequest(
        subject=before.name,
        row_numbers=rows,
        anomalous=[True] * 40 + [False] * 100,
        request_id=str(uuid.uuid4()),
    )
    reported = suite.outliers.ReportFeedback(report)
    assert suite.outliers.ReportFeedback(report) == reported
    assert (reported.learner, reported.row_count, reported.anomaly_count) == (
        "datasets/fed",
        140,
        40,
    )
    after = suite.scan(spec)
    assert after.summary.label_count == 140
    assert after.summary.learned_share > 0
    held_out = wires[40:]

    def mean_rank(scan: outlier_pb2.OutlierScan) -> float:
        content = b"".join(read_artifact(suite.store, scan.scores))
        ranks = pq.read_table(io.BytesIO(content)).column("rank").to_numpy()
        return float(ranks[held_out].mean())

    assert mean_rank(after) < 0.75 * mean_rank(before)
    ignoring = outlier_pb2.OutlierScanSpec()
    ignoring.CopyFrom(spec)
    ignoring.use_feedback = False
    assert suite.scan(ignoring).scores.sha256 == before.scores.sha256
    suite.outliers.DeleteOutlierFeedback(
        outlier_pb2.DeleteOutlierFeedbackRequest(name=reported.name)
    )
    listed = suite.outliers.ListOutlierFeedback(
        outlier_pb2.ListOutlierFeedbackRequest(filter='learner="datasets/fed"')
    )
    assert not listed.feedback


def test_detectors_are_told(suite: RunningSuite) -> None:
    """Each detector that can be named says for what it is; its defaults can be sent back."""
    answer = suite.outliers.ListDetectors(outlier_pb2.ListDetectorsRequest())
    names = [each.name for each in answer.detectors]
    fields = detector_pb2.DetectorSpec.DESCRIPTOR.fields_by_name
    assert names == sorted(fields)
    for each in answer.detectors:
        assert each.fits and each.cost and each.source and each.most_rows
        assert each.defaults.WhichOneof("detector") == each.name


BAD_ROWS = [
    (table_pb2.Table(), "rows.columns"),
    (table_of({"amount": [1.0], "nope": [1.0]}), "rows.columns[1].name"),
    (table_of({"amount": ["text"]}), "rows.columns[0]"),
    (table_of({"amount": [1.0], "age": [1.0, 2.0]}), "rows.columns[1]"),
    (table_of({"amount": [1.0] * 10_001}), "rows"),
    (table_of({"fraud": ["no"]}), "rows.columns"),
    (
        table_pb2.Table(
            columns=[
                table_pb2.Column(
                    name="age", doubles=table_pb2.DoubleValues(values=[1.0]), missing_rows=[3]
                )
            ]
        ),
        "rows.columns[0].missing_rows",
    ),
]


@pytest.mark.parametrize(("rows", "path"), BAD_ROWS)
def test_bad_rows_are_refused(
    suite: RunningSuite,
    scanned: outlier_pb2.OutlierScan,
    rows: table_pb2.Table,
    path: str,
) -> None:
    """Rows that do not fit the detector name what is wrong; among a stream they end it."""
    with pytest.raises(grpc.RpcError) as raised:
        suite.outliers.Score(outlier_pb2.ScoreRequest(detector=scanned.model_version, rows=rows))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert path in str(raised.value.details())
    messages = [
        outlier_pb2.ScoreStreamRequest(
            start=outlier_pb2.StreamStart(detector=scanned.model_version)
        ),
        outlier_pb2.ScoreStreamRequest(rows=rows_of(PAYMENTS, slice(0, 3))),
        outlier_pb2.ScoreStreamRequest(rows=rows),
    ]
    answers = iter(suite.outliers.ScoreStream(iter(messages)))
    assert next(answers).source == scanned.model_version
    assert len(next(answers).scored.scores) == 3
    with pytest.raises(grpc.RpcError) as ended:
        next(answers)
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert path in str(ended.value.details())


def test_missing_columns_count_as_missing_values(
    suite: RunningSuite, scanned: outlier_pb2.OutlierScan
) -> None:
    """Rows can be scored on what is known of them; values that are infinite have a finite score."""
    rows = table_of({"amount": [0.0, float("inf")]})
    answer = suite.outliers.Score(
        outlier_pb2.ScoreRequest(detector=scanned.model_version, rows=rows)
    )
    assert np.isfinite(answer.scored.scores).all()
    assert answer.scored.scores[1] > answer.scored.scores[0]


BAD_FEEDBACK = [
    ({"subject": "models"}, "subject"),
    ({"subject": "datasets/payments"}, "subject"),
    ({"row_numbers": [1], "anomalous": []}, "anomalous"),
    ({"row_numbers": [], "anomalous": []}, "row_numbers"),
    ({"row_numbers": [4000], "anomalous": [True]}, "row_numbers[0]"),
    ({"row_numbers": [1, 1], "anomalous": [True, True]}, "row_numbers"),
    ({"rows": table_of({"age": [1.0]}), "anomalous": [True]}, "rows"),
]


@pytest.mark.parametrize(("fields", "path"), BAD_FEEDBACK)
def test_bad_feedback_is_refused(
    suite: RunningSuite,
    scanned: outlier_pb2.OutlierScan,
    fields: dict[str, object],
    path: str,
) -> None:
    """Labels that fit no rows are refused with the field named."""
    request = outlier_pb2.ReportFeedbackRequest(**{"subject": scanned.name, **fields})  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError) as raised:
        suite.outliers.ReportFeedback(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert path in str(raised.value.details())


def test_scan_in_use_is_not_deleted(suite: RunningSuite, scanned: outlier_pb2.OutlierScan) -> None:
    """The files of a detector lie with its scan, which stays as long as the detector does."""
    with pytest.raises(grpc.RpcError) as raised:
        suite.outliers.DeleteOutlierScan(outlier_pb2.DeleteOutlierScanRequest(name=scanned.name))
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert scanned.model_version in str(raised.value.details())


def test_data_that_cannot_be_scanned_says_so(suite: RunningSuite) -> None:
    """Constant data ends FAILED with a sentence; one row is refused before the scan begins."""
    version = suite.import_dataset("constant", "constant.csv", b"a,b\n" + b"1,2\n" * 50)
    scan = suite.scan(outlier_pb2.OutlierScanSpec(dataset_version=version))
    assert scan.status.state == run_pb2.RUN_STATE_FAILED
    assert "cannot be scanned" in scan.status.error.message
    one = suite.import_dataset("one-row", "one.csv", b"a,b\n1,2\n")
    with pytest.raises(grpc.RpcError) as raised:
        suite.scan(outlier_pb2.OutlierScanSpec(dataset_version=one))
    assert "dataset_version" in str(raised.value.details())


def test_killed_scan_ends_with_the_same_result(suite: RunningSuite) -> None:
    """SIGKILL of service and scan: it is taken over, with the same scores and one version."""
    data = make_payments(20_000, seed=3)
    version = suite.import_dataset("many-payments", "many.csv", data.csv)
    spec = outlier_pb2.OutlierScanSpec(dataset_version=version, columns=COLUMNS, explained_rows=10)
    whole = suite.scan(spec)
    request = outlier_pb2.CreateOutlierScanRequest(
        outlier_scan=outlier_pb2.OutlierScan(spec=spec), request_id=str(uuid.uuid4())
    )
    name = suite.outliers.CreateOutlierScan(request).name
    watch = outlier_pb2.WatchOutlierScanRequest(name=name)
    killed = False
    for event in client.watch(suite.outliers.WatchOutlierScan, watch):
        if not killed and event.progress.fraction >= 0.15:
            killed = True
            job = suite.job(name)
            suite.supervised("outlier").kill()
            job.kill()
    assert killed
    scan = suite.outliers.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))
    assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED, scan.status.error
    assert scan.status.attempt >= 2
    assert scan.scores.sha256 == whole.scores.sha256
    versions = suite.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(parent="models/many-payments-outliers")
    )
    assert len(versions.model_versions) == 2

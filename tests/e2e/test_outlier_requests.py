"""What a scan is asked for is checked before it begins: the field and the cure are named."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from aimass.outlier.v1 import detector_pb2, outlier_pb2
from common.testing.suite import RunningSuite
from tests.e2e.outlier_data import QUICK, make_payments


@pytest.fixture(scope="module")
def payments(suite: RunningSuite) -> str:
    """Imports some payments. Returns the version's name."""
    return suite.import_dataset("asked-payments", "payments.csv", make_payments(100).csv)


BAD_SPECS = [
    ({"columns": ["amount", "nope"]}, "columns[1]", "amount"),
    ({"columns": ["amount", "amount"]}, "columns[1]", "twice"),
    ({"detectors": [detector_pb2.DetectorSpec()]}, "detectors[0]", "ListDetectors"),
    (
        {
            "detectors": [
                *QUICK,
                detector_pb2.DetectorSpec(knn=detector_pb2.Knn(neighbours=0)),
            ]
        },
        "detectors[2].knn.neighbours",
        "must be at least 1, not 0",
    ),
    ({"contamination": 0.7}, "contamination", "0.5"),
    ({"false_discovery_rate": 0.0}, "false_discovery_rate", "must be above 0"),
    ({"seed": -1}, "seed", "must be at least 0"),
    ({"budget": Duration(nanos=5)}, "budget", "1"),
    ({"explained_rows": 5000}, "explained_rows", "1000"),
    ({"model": "models/Not OK"}, "model", "models/{id}"),
    ({"model": "models/a", "keep_detector": False}, "model", "keep_detector"),
    (
        {"known_labels": outlier_pb2.KnownLabels(column="kind")},
        "known_labels.anomalies",
        "card",
    ),
    (
        {"known_labels": outlier_pb2.KnownLabels(column="amount", anomalies=["x"])},
        "known_labels.anomalies",
        "numeric",
    ),
    (
        {
            "known_labels": outlier_pb2.KnownLabels(column="fraud"),
            "columns": ["amount", "fraud"],
        },
        "columns[1]",
        "leave it out",
    ),
]


@pytest.mark.parametrize(("fields", "path", "hint"), BAD_SPECS)
def test_bad_specifications_are_refused_before_work_starts(
    suite: RunningSuite, payments: str, fields: dict[str, object], path: str, hint: str
) -> None:
    """The field and the cure are named, and nothing is stored."""
    spec = outlier_pb2.OutlierScanSpec(dataset_version=payments, **fields)  # type: ignore[arg-type]
    request = outlier_pb2.CreateOutlierScanRequest(
        outlier_scan=outlier_pb2.OutlierScan(spec=spec), outlier_scan_id="refused"
    )
    with pytest.raises(grpc.RpcError) as raised:
        suite.outliers.CreateOutlierScan(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"outlier_scan.spec.{path}" in str(raised.value.details())
    assert hint in str(raised.value.details())
    with pytest.raises(grpc.RpcError) as missing:
        suite.outliers.GetOutlierScan(
            outlier_pb2.GetOutlierScanRequest(name="outlierScans/refused")
        )
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


def test_validate_only_estimates(suite: RunningSuite, payments: str) -> None:
    """Defaults are filled in, time and memory foretold, nothing is stored."""
    request = outlier_pb2.CreateOutlierScanRequest(
        outlier_scan=outlier_pb2.OutlierScan(
            spec=outlier_pb2.OutlierScanSpec(dataset_version=payments)
        ),
        validate_only=True,
    )
    answer = suite.outliers.CreateOutlierScan(request)
    assert answer.spec.model == "models/asked-payments-outliers"
    assert answer.spec.budget.seconds == 600
    assert answer.spec.use_feedback and answer.spec.keep_detector
    assert answer.estimate.duration.seconds > 0
    assert answer.estimate.memory_bytes > 100_000_000
    assert not answer.name

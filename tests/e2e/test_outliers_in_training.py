"""From faulty rows to a better model: a scan finds them, a training proves what to do with them."""

import uuid
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.testing.suite import RunningSuite
from tests.e2e.faults import is_alive, kill

pytestmark = pytest.mark.slow

ROWS = 600
FAULTY_VALUE = 9999.0


def table(faulty: float) -> bytes:
    """Two numbers that decide on a class; faulty rows say 9999, as a broken sensor does."""
    generator = np.random.default_rng(3)
    features = generator.normal(size=(ROWS, 3))
    labels = np.where(features[:, 0] + features[:, 1] ** 2 > 0.7, "yes", "no")
    broken = generator.random(ROWS) < faulty
    features[broken, :2] = FAULTY_VALUE + generator.normal(size=(int(broken.sum()), 2))
    rows = [",".join(f"{value:.6g}" for value in row) for row in features]
    lines = [f"{row},{label}" for row, label in zip(rows, labels, strict=True)]
    return "\n".join(["a,b,c,label", *lines]).encode()


def scanned(suite: RunningSuite, dataset: str, faulty: float) -> outlier_pb2.OutlierScan:
    """Imports the table and scans it."""
    spec = dataset_pb2.DatasetImportSpec(target="label")
    version = suite.import_dataset(dataset, f"{dataset}.csv", table(faulty), spec)
    scan = suite.scan(
        outlier_pb2.OutlierScanSpec(
            dataset_version=version, contamination=0.06, keep_detector=False, explained_rows=0
        )
    )
    assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED, scan.status
    return scan


@pytest.fixture(scope="module")
def faulty(suite: RunningSuite) -> outlier_pb2.OutlierScan:
    """A scan of a table of which one row in twenty is faulty."""
    return scanned(suite, "faulty", 0.05)


@pytest.fixture(scope="module")
def clean(suite: RunningSuite) -> outlier_pb2.OutlierScan:
    """A scan of the table without faults."""
    return scanned(suite, "faultless", 0)


def proved(scan: outlier_pb2.OutlierScan, epochs: int = 10) -> trainer_pb2.TrainingSpec:
    """Returns a run of a few seconds that finds out what to do with the rows that are marked."""
    return trainer_pb2.TrainingSpec(
        dataset_version=scan.spec.dataset_version,
        model="models/outliers-in-training",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[16])),
        optimizer=trainer_pb2.OptimizerSpec(learning_rate=0.02),
        epochs=epochs,
        batch_size=64,
        monitor=trainer_pb2.MONITORED_METRIC_ACCURACY,
        workers=trainer_pb2.WorkerRange(min=1, wanted=2),
        outliers=trainer_pb2.OutlierTreatment(scan=scan.name, prove=trainer_pb2.OutlierProof()),
    )


def until_compared(events: Iterator[event_pb2.Event], models: int) -> list[event_pb2.Event]:
    """Reads events until so many of the compared models are trained."""
    seen: list[event_pb2.Event] = []
    for event in events:
        seen.append(event)
        models -= "held out" in event.log_line.text
        if models == 0:
            return seen
    raise AssertionError(f"the run ended before that: {seen[-1]}")


def test_faulty_rows_are_found_proved_and_left_out(
    suite: RunningSuite, faulty: outlier_pb2.OutlierScan
) -> None:
    """The way from scan to model, with worker and coordinator killed in the comparison."""
    name = suite.create_run(proved(faulty))
    stream = suite.watch_run(name)
    events = until_compared(stream, 4)
    kill(suite.workers("agent-1")[0])
    events += until_compared(stream, 3)
    kill(suite.job(name))
    events += stream
    run = suite.get_run(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    comparison = run.outlier_comparison
    keep, drop, down_weight = comparison.results
    assert comparison.adopted == trainer_pb2.OUTLIER_USE_DROP, comparison
    assert drop.adopted and drop.lower_bound > 0 and drop.mean > keep.mean
    assert len(down_weight.scores) == 5
    assert run.metrics["validation/accuracy"] > keep.mean
    assert not run.spec.outliers.use and run.spec.outliers.scores == faulty.scores
    lines = [event.log_line.text for event in events]
    assert [line for line in lines if line.startswith("outliers, DROP: mean") and "adopted" in line]
    stages = {event.progress.stage for event in events if event.HasField("progress")}
    assert {"proving", "training"} <= stages
    version = suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=run.model_version))
    assert faulty.name in run.status.lineage.inputs
    assert faulty.name in version.lineage.inputs
    delete = outlier_pb2.DeleteOutlierScanRequest(name=faulty.name)
    with pytest.raises(grpc.RpcError, match=name) as caught:
        suite.outliers.DeleteOutlierScan(delete)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_rows_of_clean_data_are_kept(suite: RunningSuite, clean: outlier_pb2.OutlierScan) -> None:
    """Marks on rows that are only rare are not adopted, and the run says so."""
    run = suite.train(proved(clean))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    assert run.outlier_comparison.adopted == trainer_pb2.OUTLIER_USE_KEEP
    assert not any(result.lower_bound > 0 for result in run.outlier_comparison.results)


def test_a_comparison_can_be_cancelled(
    suite: RunningSuite, faulty: outlier_pb2.OutlierScan
) -> None:
    """Cancel in the middle of the comparison leaves no process."""
    spec = proved(faulty, epochs=100_000)
    spec.outliers.prove.epochs = 10
    name = suite.create_run(spec)
    stream = suite.watch_run(name)
    until_compared(stream, 1)
    processes = [suite.job(name), *suite.workers("agent-1"), *suite.workers("agent-2")]
    suite.training.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=name))
    last = list(stream)[-1]
    assert last.state_change.state == run_pb2.RUN_STATE_CANCELLED
    assert not [process for process in processes if is_alive(process)]


Change = Callable[[trainer_pb2.TrainingSpec, str], None]


def _unknown(spec: trainer_pb2.TrainingSpec, other: str) -> None:
    spec.outliers.scan = "outlierScans/nowhere"


def _no_name(spec: trainer_pb2.TrainingSpec, other: str) -> None:
    spec.outliers.scan = "scans/nowhere"


def _other_data(spec: trainer_pb2.TrainingSpec, other: str) -> None:
    spec.outliers.scan = other


def _too_few(spec: trainer_pb2.TrainingSpec, other: str) -> None:
    spec.outliers.prove.folds = 21


def _both(spec: trainer_pb2.TrainingSpec, other: str) -> None:
    spec.outliers.use = trainer_pb2.OUTLIER_USE_DROP


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_unknown, "scan"),
        (_no_name, "scan"),
        (_other_data, "scan"),
        (_too_few, "prove.folds"),
        (_both, "use"),
    ],
)
def test_wrong_requests_name_the_field(
    suite: RunningSuite,
    faulty: outlier_pb2.OutlierScan,
    clean: outlier_pb2.OutlierScan,
    change: Change,
    field: str,
) -> None:
    """What does not fit is refused before the run exists."""
    spec = proved(faulty)
    change(spec, clean.name)
    request = trainer_pb2.CreateTrainingRunRequest(
        training_run=trainer_pb2.TrainingRun(spec=spec), request_id=str(uuid.uuid4())
    )
    with pytest.raises(grpc.RpcError) as caught:
        suite.training.CreateTrainingRun(request)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert bad.field_violations[0].field == f"training_run.spec.outliers.{field}"

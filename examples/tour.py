"""The suite from Python: from a table to a small model and a comparison, on the generated stubs.

With a suite up: eval "$(aimass env)"; python examples/tour.py
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from aimass.analyzer.v1 import analyzer_pb2, analyzer_pb2_grpc
from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, transfer_pb2, transfer_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.pruner.v1 import pruner_pb2, pruner_pb2_grpc
from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.tuner.v1 import tuner_pb2, tuner_pb2_grpc
from aimass.type.v1 import network_pb2, run_pb2
from common.calls import client

TABLE = Path(__file__).with_name("cells.csv")
CHUNK_BYTES = 256 * 1024


def channel(service: str) -> grpc.Channel:
    """Returns a channel that adds the token, request ids, deadlines and retries."""
    address = os.environ[f"AIMASS_{service.upper()}_ADDRESS"]
    return client.connect_sync(address, os.environ["AIMASS_TOKEN"])


def upload(path: Path) -> str:
    """Sends a file in chunks. Returns the name of the upload."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    header = transfer_pb2.UploadHeader(
        name=f"uploads/tour-{digest[:16]}",
        total_bytes=len(content),
        sha256=digest,
        filename=path.name,
    )

    def messages() -> Iterator[transfer_pb2.WriteUploadRequest]:
        yield transfer_pb2.WriteUploadRequest(header=header)
        for start in range(0, len(content), CHUNK_BYTES):
            yield transfer_pb2.WriteUploadRequest(chunk=content[start : start + CHUNK_BYTES])

    return str(
        transfer_pb2_grpc.TransferServiceStub(channel("catalog")).WriteUpload(messages()).name
    )


def finished(stub: Any, messages: ModuleType, created: Any) -> Any:
    """Follows a run over broken connections until it has ended. Returns it as it ended."""
    kind, name = created.DESCRIPTOR.name, created.name
    watching = getattr(messages, f"Watch{kind}Request")(name=name)
    for event in client.watch(getattr(stub, f"Watch{kind}"), watching):
        if event.HasField("progress"):
            print(f"{name}: {event.progress.fraction:4.0%} {event.progress.stage}")
    run = getattr(stub, f"Get{kind}")(getattr(messages, f"Get{kind}Request")(name=name))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    return run


def imported() -> str:
    """Makes a version of a data set of the table."""
    datasets = dataset_pb2_grpc.DatasetServiceStub(channel("catalog"))
    split = dataset_pb2.SplitSpec(validation_fraction=0.15, test_fraction=0.25)
    spec = dataset_pb2.DatasetImportSpec(
        dataset="datasets/tour", upload=upload(TABLE), target="diagnosis", split=split
    )
    run = dataset_pb2.DatasetImport(spec=spec)
    request = dataset_pb2.CreateDatasetImportRequest(dataset_import=run)
    return str(
        finished(datasets, dataset_pb2, datasets.CreateDatasetImport(request)).dataset_version
    )


def scanned(data: str) -> str:
    """Finds and explains what is odd in the data."""
    outliers = outlier_pb2_grpc.OutlierServiceStub(channel("outlier"))
    spec = outlier_pb2.OutlierScanSpec(dataset_version=data, contamination=0.1)
    run = outlier_pb2.OutlierScan(spec=spec)
    request = outlier_pb2.CreateOutlierScanRequest(outlier_scan=run)
    scan = finished(outliers, outlier_pb2, outliers.CreateOutlierScan(request))
    print(f"{scan.summary.marked_count} of {scan.summary.row_count} rows are marked")
    listing = outlier_pb2.ListAnomaliesRequest(parent=scan.name, page_size=3)
    for anomaly in outliers.ListAnomalies(listing).anomalies:
        reasons = (f"{each.column} is {each.value}" for each in anomaly.explanation.reasons)
        print(f"  row {anomaly.row}: {', '.join(reasons)}")
    return str(scan.name)


def searched(data: str, scan: str) -> str:
    """Searches the best model, with and without the marks of the scan."""
    tuner = tuner_pb2_grpc.TunerServiceStub(channel("tuner"))
    spec = tuner_pb2.TuningSpec(
        dataset_version=data,
        model="models/tour",
        budget=Duration(seconds=20),
        outliers=tuner_pb2.OutlierMarks(scan=scan),
    )
    request = tuner_pb2.CreateTuningRunRequest(tuning_run=tuner_pb2.TuningRun(spec=spec))
    run = finished(tuner, tuner_pb2, tuner.CreateTuningRun(request))
    print(run.summary.verdict)
    return str(run.model_version)


def trained(data: str, scan: str) -> str:
    """Trains a network on up to two workers, marked rows weighing less."""
    trainer = trainer_pb2_grpc.TrainingServiceStub(channel("trainer"))
    spec = trainer_pb2.TrainingSpec(
        dataset_version=data,
        model="models/tour-network",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork()),
        epochs=20,
        workers=trainer_pb2.WorkerRange(min=1, wanted=2),
        outliers=trainer_pb2.OutlierTreatment(scan=scan),
    )
    run = trainer_pb2.TrainingRun(spec=spec)
    request = trainer_pb2.CreateTrainingRunRequest(training_run=run)
    run = finished(trainer, trainer_pb2, trainer.CreateTrainingRun(request))
    print(f"validation accuracy {run.metrics['validation/accuracy']:.3f}")
    return str(run.model_version)


def pruned(model: str) -> str:
    """Makes a model smaller. Returns the recommended version, or the model itself."""
    pruner = pruner_pb2_grpc.PrunerServiceStub(channel("pruner"))
    spec = pruner_pb2.PruningSpec(
        model_version=model, max_loss=0.02, budget=Duration(seconds=30), compare=False
    )
    request = pruner_pb2.CreatePruningRunRequest(pruning_run=pruner_pb2.PruningRun(spec=spec))
    run = finished(pruner, pruner_pb2, pruner.CreatePruningRun(request))
    print("\n".join(run.summary.reasons))
    return str(run.model_version) or model


def compared(models: list[str], data: str) -> None:
    """Compares models on the same test rows."""
    analyzer = analyzer_pb2_grpc.AnalyzerServiceStub(channel("analyzer"))
    options = analyzer_pb2.AnalysisSpec(dataset_version=data, budget=Duration(seconds=15))
    request = analyzer_pb2.CompareModelsRequest(model_versions=models, options=options)
    print(finished(analyzer, analyzer_pb2, analyzer.CompareModels(request)).summary.verdict)


def main() -> None:
    """Tells the story."""
    data = imported()
    scan = scanned(data)
    best, network = searched(data, scan), trained(data, scan)
    versions = dict.fromkeys([best, pruned(best), network])
    compared(list(versions), data)


if __name__ == "__main__":
    main()

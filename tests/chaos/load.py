"""Imports and runs of all kinds, while parts of the suite die; nothing may be lost."""

import hashlib
import sys
import threading
import traceback
import uuid
from dataclasses import dataclass, field

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2, transfer_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import artifact_pb2, network_pb2, run_pb2
from common.calls import client
from common.testing.story import insisted
from common.testing.suite import RunningSuite

_ROWS = 400
_PATIENCE_SECONDS = 180.0


@dataclass
class Ledger:
    """What the suite has acknowledged.

    Attributes:
        imports: Imports that were created.
        runs: Training runs that were created.
        scans: Outlier scans that were created.
        analyses: Analyses that were created.
        tunings: Searches for models that were created.
        prunings: Prunings that were created.
        versions: Data set versions with their digests, as first told.
        models: Model versions that a run or a scan has named.
        findings: Scores and page of each scan, report and results of each analysis, report and
            leaderboard of each search, report and points of each pruning, as first told.
        problems: What went wrong, in words.
    """

    imports: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    analyses: list[str] = field(default_factory=list)
    tunings: list[str] = field(default_factory=list)
    prunings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    findings: dict[str, list[artifact_pb2.ArtifactRef]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Load:
    """A thread that imports, scans, trains, analyses the model, tunes and prunes, for ever."""

    def __init__(self, suite: RunningSuite, number: int) -> None:
        """Prepares.

        Args:
            suite: The suite.
            number: Tells this load's data set and model from the others'.
        """
        self.ledger = Ledger()
        self._suite = suite
        self._name = f"chaos-{number}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Waits for the pruning at the end of the turn; no other turn begins after it."""
        self._ending.set()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            self.ledger.problems.append(f"{self._name} is stuck {self._place()}")

    def _place(self) -> str:
        """Says where the thread is, and with what."""
        frame = sys._current_frames()[self._thread.ident or 0]
        calls = [each.name for each in traceback.extract_stack(frame) if each.filename == __file__]
        ledger = self.ledger
        kinds = (
            *(ledger.imports, ledger.scans, ledger.runs),
            *(ledger.analyses, ledger.tunings, ledger.prunings),
        )
        newest = [name for names in kinds for name in names[-1:]]
        return f"in {' > '.join(calls)}; last acknowledged: {', '.join(newest)}"

    def _work(self) -> None:
        try:
            while not self._ending.is_set():
                version = self._import()
                self._scan(version)
                self._analyse(self._train(version))
                self._prune(self._tune(version))
        except Exception as error:
            self.ledger.problems.append(f"{self._name}: {error!r}")

    def _import(self) -> str:
        upload = self._upload()
        split = dataset_pb2.SplitSpec(test_fraction=0.2)  # prunings judge on test rows
        spec = dataset_pb2.DatasetImportSpec(
            dataset=f"datasets/{self._name}", upload=upload, split=split
        )
        request = dataset_pb2.CreateDatasetImportRequest(
            dataset_import=dataset_pb2.DatasetImport(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.datasets
        name = insisted(lambda: stub.CreateDatasetImport(request)).name
        self.ledger.imports.append(name)
        watch = dataset_pb2.WatchDatasetImportRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchDatasetImport, watch, _PATIENCE_SECONDS)))
        get = dataset_pb2.GetDatasetImportRequest(name=name)
        done = insisted(lambda: stub.GetDatasetImport(get))
        _require_success(name, done.status)
        version = insisted(
            lambda: stub.GetDatasetVersion(
                dataset_pb2.GetDatasetVersionRequest(name=done.dataset_version)
            )
        )
        self.ledger.versions[version.name] = version.digest
        return str(version.name)

    def _scan(self, version: str) -> None:
        spec = outlier_pb2.OutlierScanSpec(
            dataset_version=version,
            detectors=[
                detector_pb2.DetectorSpec(hbos=detector_pb2.Hbos()),
                detector_pb2.DetectorSpec(isolation_forest=detector_pb2.IsolationForest()),
            ],
            contamination=0.02,
        )
        request = outlier_pb2.CreateOutlierScanRequest(
            outlier_scan=outlier_pb2.OutlierScan(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.outliers
        name = insisted(lambda: stub.CreateOutlierScan(request)).name
        self.ledger.scans.append(name)
        watch = outlier_pb2.WatchOutlierScanRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchOutlierScan, watch, _PATIENCE_SECONDS)))
        scan = insisted(lambda: self._suite.get_scan(name))
        _require_success(name, scan.status)
        self.ledger.models.append(scan.model_version)
        self.ledger.findings[name] = [scan.scores, scan.page]

    def _train(self, version: str) -> str:
        spec = trainer_pb2.TrainingSpec(
            dataset_version=version,
            model=f"models/{self._name}",
            network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[64])),
            epochs=20,
            batch_size=32,
            workers=trainer_pb2.WorkerRange(min=1, wanted=1),
        )
        request = trainer_pb2.CreateTrainingRunRequest(
            training_run=trainer_pb2.TrainingRun(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.training
        name = insisted(lambda: stub.CreateTrainingRun(request)).name
        self.ledger.runs.append(name)
        watch = trainer_pb2.WatchTrainingRunRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchTrainingRun, watch, _PATIENCE_SECONDS)))
        run = insisted(lambda: self._suite.get_run(name))
        _require_success(name, run.status)
        self.ledger.models.append(run.model_version)
        return str(run.model_version)

    def _analyse(self, model_version: str) -> None:
        parts = (analyzer_pb2.ANALYSIS_PART_STRUCTURE, analyzer_pb2.ANALYSIS_PART_WEIGHTS)
        spec = analyzer_pb2.AnalysisSpec(
            model_version=model_version,
            parts=[analyzer_pb2.PartRequest(part=part) for part in parts],
        )
        request = analyzer_pb2.CreateAnalysisRequest(
            analysis=analyzer_pb2.Analysis(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.analyses
        name = insisted(lambda: stub.CreateAnalysis(request)).name
        self.ledger.analyses.append(name)
        watch = analyzer_pb2.WatchAnalysisRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchAnalysis, watch, _PATIENCE_SECONDS)))
        analysis = insisted(lambda: self._suite.get_analysis(name))
        _require_success(name, analysis.status)
        self.ledger.findings[name] = [analysis.report, analysis.results]

    def _tune(self, version: str) -> str:
        spec = tuner_pb2.TuningSpec(dataset_version=version, families=["linear", "decision_tree"])
        # Enough for a model on a busy machine, also where the first attempt is killed.
        spec.budget.FromSeconds(15)
        request = tuner_pb2.CreateTuningRunRequest(
            tuning_run=tuner_pb2.TuningRun(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.tuning
        name = insisted(lambda: stub.CreateTuningRun(request)).name
        self.ledger.tunings.append(name)
        watch = tuner_pb2.WatchTuningRunRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchTuningRun, watch, _PATIENCE_SECONDS)))
        tuned = insisted(lambda: self._suite.get_tuning(name))
        _require_success(name, tuned.status)
        self.ledger.models.append(tuned.model_version)
        self.ledger.findings[name] = [tuned.report, tuned.leaderboard]
        return str(tuned.model_version)

    def _prune(self, model_version: str) -> None:
        spec = pruner_pb2.PruningSpec(model_version=model_version, methods=["smaller_parts"])
        spec.budget.FromSeconds(15)
        request = pruner_pb2.CreatePruningRunRequest(
            pruning_run=pruner_pb2.PruningRun(spec=spec), request_id=str(uuid.uuid4())
        )
        stub = self._suite.pruning
        name = insisted(lambda: stub.CreatePruningRun(request)).name
        self.ledger.prunings.append(name)
        watch = pruner_pb2.WatchPruningRunRequest(name=name)
        insisted(lambda: list(client.watch(stub.WatchPruningRun, watch, _PATIENCE_SECONDS)))
        pruned = insisted(lambda: self._suite.get_pruning(name))
        _require_success(name, pruned.status)
        if pruned.model_version:
            self.ledger.models.append(pruned.model_version)
        self.ledger.findings[name] = [pruned.report, pruned.front, pruned.points]

    def _upload(self) -> str:
        rows = "\n".join(["a,b,y", *(f"{i},{i % 13},{i * 0.5}" for i in range(_ROWS))])
        data = rows.encode()
        header = transfer_pb2.UploadHeader(
            name=f"uploads/u-{uuid.uuid4().hex[:12]}",
            total_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            filename="table.csv",
        )
        messages = [
            transfer_pb2.WriteUploadRequest(header=header),
            transfer_pb2.WriteUploadRequest(chunk=data),
        ]
        return str(insisted(lambda: self._suite.transfers.WriteUpload(iter(messages))).name)


def check(suite: RunningSuite, ledger: Ledger) -> list[str]:
    """Looks whether everything that was acknowledged is still there, and as it was.

    Returns:
        What is not, in words.
    """
    problems = list(ledger.problems)
    for name, digest in ledger.versions.items():
        version = suite.datasets.GetDatasetVersion(dataset_pb2.GetDatasetVersionRequest(name=name))
        if version.digest != digest:
            problems.append(f"{name} has another digest")
    for name in ledger.models:
        model = suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))
        problems += [
            f"{name}: {role} is damaged"
            for role, artifact in model.artifacts.items()
            if not _is_whole(suite, artifact)
        ]
    for name, artifacts in ledger.findings.items():
        problems += [
            f"{name}: {each.uri} is damaged" for each in artifacts if not _is_whole(suite, each)
        ]
    states = {name: suite.get_run(name).status.state for name in ledger.runs}
    states |= {name: suite.get_scan(name).status.state for name in ledger.scans}
    states |= {name: suite.get_analysis(name).status.state for name in ledger.analyses}
    states |= {name: suite.get_tuning(name).status.state for name in ledger.tunings}
    states |= {name: suite.get_pruning(name).status.state for name in ledger.prunings}
    problems += [
        f"{name} is {run_pb2.RunState.Name(state)}"
        for name, state in states.items()
        if state != run_pb2.RUN_STATE_SUCCEEDED
    ]
    return problems


def _is_whole(suite: RunningSuite, artifact: artifact_pb2.ArtifactRef) -> bool:
    sha256 = hashlib.sha256()
    request = transfer_pb2.ReadArtifactRequest(artifact=artifact)
    for response in suite.transfers.ReadArtifact(request):
        sha256.update(response.chunk)
    return sha256.hexdigest() == artifact.sha256


def _require_success(name: str, status: run_pb2.RunStatus) -> None:
    if status.state != run_pb2.RUN_STATE_SUCCEEDED:
        raise AssertionError(f"{name} did not succeed: {status}")

"""The suite's story on a table of its own: from rows to a model that is smaller and explained."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import grpc

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.calls import client
from common.testing.suite import RunningSuite

T = TypeVar("T")
_OUTAGES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_PATIENCE_SECONDS = 180.0
_PAUSE_SECONDS = 0.2
_ROWS = 600
_SEED = 7
TUNING_SECONDS = 40
PRUNING_SECONDS = 240


@dataclass(frozen=True)
class Step:
    """One run of the story.

    Attributes:
        service: Who works on it.
        begin: Starts it; returns its name. What it made is an input of later steps.
        events: Yields its events, over broken connections, until it has ended.
        status: Returns where it stands.
    """

    service: str
    begin: Callable[[], str]
    events: Callable[[str], Iterator[event_pb2.Event]]
    status: Callable[[str], run_pb2.RunStatus]


@dataclass
class Story:
    """The steps, in their order, and what came of them.

    Attributes:
        suite: Where it takes place.
        runs: Names of the runs so far, by step.
    """

    suite: RunningSuite
    runs: dict[str, str] = field(default_factory=dict)

    def steps(self) -> Mapping[str, Step]:
        """Returns the steps by name; each needs those before it to have ended."""
        suite = self.suite
        return {
            "import": Step(
                "catalog", self._import, self._import_events, lambda it: self._imported(it).status
            ),
            "scan": Step(
                "outlier", self._scan, self._scan_events, lambda it: suite.get_scan(it).status
            ),
            "tuning": Step(
                "tuner", self._tune, suite.watch_tuning, lambda it: suite.get_tuning(it).status
            ),
            "training": Step(
                "trainer", self._train, suite.watch_run, lambda it: suite.get_run(it).status
            ),
            "pruning": Step(
                "pruner", self._prune, suite.watch_pruning, lambda it: suite.get_pruning(it).status
            ),
            "analysis": Step(
                "analyzer",
                self._analyse,
                self._analysis_events,
                lambda it: suite.get_analysis(it).status,
            ),
        }

    def begin(self, step: str) -> str:
        """Starts a step. Returns the name of its run."""
        name = insisted(self.steps()[step].begin)
        self.runs[step] = name
        return name

    def finish(self, step: str) -> None:
        """Waits until a step has ended. Raises `AssertionError` where it did not succeed."""
        found, name = self.steps()[step], self.runs[step]
        for _ in found.events(name):
            pass
        status = insisted(lambda: found.status(name))
        assert status.state == run_pb2.RUN_STATE_SUCCEEDED, (name, status.error)

    @property
    def dataset_version(self) -> str:
        """What the import made."""
        return str(self._imported(self.runs["import"]).dataset_version)

    def models(self) -> dict[str, str]:
        """Returns the model versions that the steps so far have made, by step."""
        suite, runs = self.suite, self.runs
        made: dict[str, Callable[[], str]] = {
            "scan": lambda: suite.get_scan(runs["scan"]).model_version,
            "tuning": lambda: suite.get_tuning(runs["tuning"]).model_version,
            "training": lambda: suite.get_run(runs["training"]).model_version,
            "pruning": lambda: suite.get_pruning(runs["pruning"]).model_version,
        }
        return {step: str(get()) for step, get in made.items() if step in runs}

    def _import(self) -> str:
        split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.25)
        spec = dataset_pb2.DatasetImportSpec(
            dataset="datasets/story",
            upload=self.suite.upload("story.csv", rows()),
            target="kind",
            split=split,
        )
        request = dataset_pb2.CreateDatasetImportRequest(
            dataset_import=dataset_pb2.DatasetImport(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.suite.datasets.CreateDatasetImport(request).name)

    def _import_events(self, name: str) -> Iterator[event_pb2.Event]:
        request = dataset_pb2.WatchDatasetImportRequest(name=name)
        return client.watch(self.suite.datasets.WatchDatasetImport, request)

    def _imported(self, name: str) -> dataset_pb2.DatasetImport:
        request = dataset_pb2.GetDatasetImportRequest(name=name)
        return self.suite.datasets.GetDatasetImport(request)

    def _scan(self) -> str:
        detectors = [
            detector_pb2.DetectorSpec(hbos=detector_pb2.Hbos()),
            detector_pb2.DetectorSpec(isolation_forest=detector_pb2.IsolationForest()),
        ]
        return self.suite.create_scan(
            outlier_pb2.OutlierScanSpec(dataset_version=self.dataset_version, detectors=detectors)
        )

    def _scan_events(self, name: str) -> Iterator[event_pb2.Event]:
        request = outlier_pb2.WatchOutlierScanRequest(name=name)
        return client.watch(self.suite.outliers.WatchOutlierScan, request)

    def _tune(self) -> str:
        spec = tuner_pb2.TuningSpec(
            dataset_version=self.dataset_version,
            model="models/story-tuned",
            families=["linear", "deep_table"],
        )
        spec.budget.FromSeconds(TUNING_SECONDS)
        return self.suite.create_tuning(spec)

    def _train(self) -> str:
        network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[128, 64]))
        return self.suite.create_run(
            trainer_pb2.TrainingSpec(
                dataset_version=self.dataset_version,
                model="models/story",
                network=network,
                epochs=30,
                batch_size=64,
                workers=trainer_pb2.WorkerRange(min=1, wanted=1),
            )
        )

    def _prune(self) -> str:
        spec = pruner_pb2.PruningSpec(
            model_version=self.models()["training"],
            metric="accuracy",
            max_loss=0.05,
            methods=["fewer_units"],
            gain=pruner_pb2.GAIN_SIZE,
            compare=False,
        )
        spec.budget.FromSeconds(PRUNING_SECONDS)
        return self.suite.create_pruning(spec)

    def _analyse(self) -> str:
        parts = (analyzer_pb2.ANALYSIS_PART_STRUCTURE, analyzer_pb2.ANALYSIS_PART_BEHAVIOUR)
        spec = analyzer_pb2.AnalysisSpec(
            # Where nothing smaller was as good, the network itself is looked at.
            model_version=self.models()["pruning"] or self.models()["training"],
            parts=[analyzer_pb2.PartRequest(part=part) for part in parts],
        )
        spec.budget.FromSeconds(10)
        return self.suite.create_analysis(spec)

    def _analysis_events(self, name: str) -> Iterator[event_pb2.Event]:
        request = analyzer_pb2.WatchAnalysisRequest(name=name)
        return client.watch(self.suite.analyses.WatchAnalysis, request)


def insisted(call: Callable[[], T]) -> T:
    """Returns what a service says that may be starting again, on a machine that may be busy."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            is_outage = isinstance(error, grpc.Call) and error.code() in _OUTAGES
            if not is_outage or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def rows() -> bytes:
    """Returns a CSV file: four numbers tell three kinds apart, and a few rows are odd."""
    chance = random.Random(_SEED)
    lines = ["a,b,c,d,kind"]
    for row in range(_ROWS):
        kind = row % 3
        values = [chance.gauss(2.0 * (kind == at), 1.0) for at in range(4)]
        if row % 60 == 0:
            values = [5 * each for each in values]
        lines.append(",".join([*(f"{each:.6g}" for each in values), "xyz"[kind]]))
    return "\n".join(lines).encode()

"""A whole suite of real processes for tests, driven through the public API only."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from aimass.analyzer.v1 import analyzer_pb2, analyzer_pb2_grpc
from aimass.catalog.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    model_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.pruner.v1 import pruner_pb2, pruner_pb2_grpc
from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.tuner.v1 import policy_pb2_grpc, study_pb2_grpc, tuner_pb2, tuner_pb2_grpc
from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.local.home import SuiteHome
from common.local.plan import SuiteOptions
from common.local.processes import suite_processes
from common.local.suite import Suite
from common.runs.kind import lease_key
from common.runs.lease import read_lease
from common.services import ADDRESS_VARIABLES

CHUNK_BYTES = 256 * 1024
_AGENTS_SECONDS = 100.0
# A request that starts something is checked first, by helpers that start late on a busy host.
_CREATE_SECONDS = 120.0

# Most tests start no run of these services: imports ahead of that would only take their time.
_QUICK_START = {
    "AIMASS_OUTLIER_WARM": "false",
    "AIMASS_ANALYZER_WARM": "false",
    "AIMASS_TUNER_WARM": "false",
    "AIMASS_PRUNER_WARM": "false",
}


class RunningSuite:
    """A started suite, and what tests do with it.

    Attributes:
        suite: The suite.
        store: Its object store.
        datasets: Stub of the data sets.
        models: Stub of the models.
        transfers: Stub of uploads and downloads.
        training: Stub of the training runs.
        outliers: Stub of the outlier scans.
        analyses: Stub of the analyses.
        tuning: Stub of the searches for models.
        policies: Stub of the policies that keep them good.
        studies: Stub of the studies whose trials others carry out.
        pruning: Stub of the prunings.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        state = suite.home.read_state()
        assert state is not None, "the suite is not up"
        self.state = state
        self.token = suite.home.tokens()["local"]
        access_key, secret_key = suite.home.ensure_store_credentials()
        self.store = open_store(
            StoreSettings(
                endpoint=state.store_endpoint, access_key=access_key, secret_key=secret_key
            )
        )
        self._catalog = client.connect_sync(state.addresses["catalog"], self.token)
        self._trainer = client.connect_sync(state.addresses["trainer"], self.token)
        self._outlier = client.connect_sync(state.addresses["outlier"], self.token)
        self._analyzer = client.connect_sync(state.addresses["analyzer"], self.token)
        self._tuner = client.connect_sync(state.addresses["tuner"], self.token)
        self._pruner = client.connect_sync(state.addresses["pruner"], self.token)
        self.datasets = dataset_pb2_grpc.DatasetServiceStub(self._catalog)
        self.models = model_pb2_grpc.ModelServiceStub(self._catalog)
        self.transfers = transfer_pb2_grpc.TransferServiceStub(self._catalog)
        self.training = trainer_pb2_grpc.TrainingServiceStub(self._trainer)
        self.outliers = outlier_pb2_grpc.OutlierServiceStub(self._outlier)
        self.analyses = analyzer_pb2_grpc.AnalyzerServiceStub(self._analyzer)
        self.tuning = tuner_pb2_grpc.TunerServiceStub(self._tuner)
        self.policies = policy_pb2_grpc.PolicyServiceStub(self._tuner)
        self.studies = study_pb2_grpc.StudyServiceStub(self._tuner)
        self.pruning = pruner_pb2_grpc.PrunerServiceStub(self._pruner)

    def close(self) -> None:
        """Closes the channels."""
        self._catalog.close()
        self._trainer.close()
        self._outlier.close()
        self._analyzer.close()
        self._tuner.close()
        self._pruner.close()

    @property
    def environment(self) -> dict[str, str]:
        """What `aimass env` prints."""
        addresses = self.state.addresses.items()
        return {
            **{ADDRESS_VARIABLES[name]: each for name, each in addresses},
            "AIMASS_TOKEN": self.token,
        }

    def upload(self, filename: str, data: bytes) -> str:
        """Uploads bytes. Returns the upload's name."""
        name = f"uploads/u-{uuid.uuid4().hex[:12]}"
        header = transfer_pb2.UploadHeader(
            name=name,
            total_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            filename=filename,
        )

        def messages() -> Iterator[transfer_pb2.WriteUploadRequest]:
            yield transfer_pb2.WriteUploadRequest(header=header)
            for start in range(0, len(data), CHUNK_BYTES):
                yield transfer_pb2.WriteUploadRequest(chunk=data[start : start + CHUNK_BYTES])

        return str(self.transfers.WriteUpload(messages()).name)

    def import_dataset(
        self,
        dataset: str,
        filename: str,
        data: bytes,
        spec: dataset_pb2.DatasetImportSpec | None = None,
    ) -> str:
        """Imports bytes as a version of a data set and waits for it. Returns the version's name."""
        wanted = dataset_pb2.DatasetImportSpec()
        if spec is not None:
            wanted.CopyFrom(spec)
        wanted.dataset = f"datasets/{dataset}"
        wanted.upload = self.upload(filename, data)
        created = self.datasets.CreateDatasetImport(
            dataset_pb2.CreateDatasetImportRequest(
                dataset_import=dataset_pb2.DatasetImport(spec=wanted),
                request_id=str(uuid.uuid4()),
            )
        )
        request = dataset_pb2.WatchDatasetImportRequest(name=created.name)
        for _ in client.watch(self.datasets.WatchDatasetImport, request):
            pass
        done = self.datasets.GetDatasetImport(
            dataset_pb2.GetDatasetImportRequest(name=created.name)
        )
        assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done
        return str(done.dataset_version)

    def create_run(self, spec: trainer_pb2.TrainingSpec) -> str:
        """Starts a training run. Returns its name."""
        request = trainer_pb2.CreateTrainingRunRequest(
            training_run=trainer_pb2.TrainingRun(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.training.CreateTrainingRun(request, timeout=_CREATE_SECONDS).name)

    def get_run(self, name: str) -> trainer_pb2.TrainingRun:
        """Returns a training run."""
        return self.training.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))

    def watch_run(self, name: str, after: int = 0) -> Iterator[event_pb2.Event]:
        """Yields the events of a training run until it has ended, over broken connections."""
        request = trainer_pb2.WatchTrainingRunRequest(name=name, after_sequence=after)
        return client.watch(self.training.WatchTrainingRun, request)

    def finish_run(self, name: str) -> trainer_pb2.TrainingRun:
        """Waits until a training run has ended."""
        for _ in self.watch_run(name):
            pass
        return self.get_run(name)

    def train(self, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
        """Starts a training run and waits until it has ended."""
        return self.finish_run(self.create_run(spec))

    def create_scan(self, spec: outlier_pb2.OutlierScanSpec) -> str:
        """Starts an outlier scan. Returns its name."""
        request = outlier_pb2.CreateOutlierScanRequest(
            outlier_scan=outlier_pb2.OutlierScan(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.outliers.CreateOutlierScan(request, timeout=_CREATE_SECONDS).name)

    def get_scan(self, name: str) -> outlier_pb2.OutlierScan:
        """Returns an outlier scan."""
        return self.outliers.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))

    def finish_scan(self, name: str) -> outlier_pb2.OutlierScan:
        """Waits until an outlier scan has ended."""
        request = outlier_pb2.WatchOutlierScanRequest(name=name)
        for _ in client.watch(self.outliers.WatchOutlierScan, request):
            pass
        return self.get_scan(name)

    def scan(self, spec: outlier_pb2.OutlierScanSpec) -> outlier_pb2.OutlierScan:
        """Starts an outlier scan and waits until it has ended."""
        return self.finish_scan(self.create_scan(spec))

    def create_analysis(self, spec: analyzer_pb2.AnalysisSpec) -> str:
        """Starts an analysis. Returns its name."""
        request = analyzer_pb2.CreateAnalysisRequest(
            analysis=analyzer_pb2.Analysis(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.analyses.CreateAnalysis(request, timeout=_CREATE_SECONDS).name)

    def get_analysis(self, name: str) -> analyzer_pb2.Analysis:
        """Returns an analysis."""
        return self.analyses.GetAnalysis(analyzer_pb2.GetAnalysisRequest(name=name))

    def finish_analysis(self, name: str) -> analyzer_pb2.Analysis:
        """Waits until an analysis has ended."""
        request = analyzer_pb2.WatchAnalysisRequest(name=name)
        for _ in client.watch(self.analyses.WatchAnalysis, request):
            pass
        return self.get_analysis(name)

    def analyse(self, spec: analyzer_pb2.AnalysisSpec) -> analyzer_pb2.Analysis:
        """Starts an analysis and waits until it has ended."""
        return self.finish_analysis(self.create_analysis(spec))

    def create_tuning(self, spec: tuner_pb2.TuningSpec) -> str:
        """Starts a search for a model. Returns its name."""
        request = tuner_pb2.CreateTuningRunRequest(
            tuning_run=tuner_pb2.TuningRun(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.tuning.CreateTuningRun(request, timeout=_CREATE_SECONDS).name)

    def get_tuning(self, name: str) -> tuner_pb2.TuningRun:
        """Returns a search for a model."""
        return self.tuning.GetTuningRun(tuner_pb2.GetTuningRunRequest(name=name))

    def watch_tuning(self, name: str, after: int = 0) -> Iterator[event_pb2.Event]:
        """Yields the events of a search until it has ended, over broken connections."""
        request = tuner_pb2.WatchTuningRunRequest(name=name, after_sequence=after)
        return client.watch(self.tuning.WatchTuningRun, request)

    def finish_tuning(self, name: str) -> tuner_pb2.TuningRun:
        """Waits until a search for a model has ended."""
        for _ in self.watch_tuning(name):
            pass
        return self.get_tuning(name)

    def tune(self, spec: tuner_pb2.TuningSpec) -> tuner_pb2.TuningRun:
        """Starts a search for a model and waits until it has ended."""
        return self.finish_tuning(self.create_tuning(spec))

    def create_pruning(self, spec: pruner_pb2.PruningSpec) -> str:
        """Starts a pruning. Returns its name."""
        request = pruner_pb2.CreatePruningRunRequest(
            pruning_run=pruner_pb2.PruningRun(spec=spec), request_id=str(uuid.uuid4())
        )
        return str(self.pruning.CreatePruningRun(request, timeout=_CREATE_SECONDS).name)

    def get_pruning(self, name: str) -> pruner_pb2.PruningRun:
        """Returns a pruning."""
        return self.pruning.GetPruningRun(pruner_pb2.GetPruningRunRequest(name=name))

    def watch_pruning(self, name: str, after: int = 0) -> Iterator[event_pb2.Event]:
        """Yields the events of a pruning until it has ended, over broken connections."""
        request = pruner_pb2.WatchPruningRunRequest(name=name, after_sequence=after)
        return client.watch(self.pruning.WatchPruningRun, request)

    def finish_pruning(self, name: str) -> pruner_pb2.PruningRun:
        """Waits until a pruning has ended."""
        for _ in self.watch_pruning(name):
            pass
        return self.get_pruning(name)

    def prune(self, spec: pruner_pb2.PruningSpec) -> pruner_pb2.PruningRun:
        """Starts a pruning and waits until it has ended."""
        return self.finish_pruning(self.create_pruning(spec))

    def supervised(self, name: str) -> psutil.Process:
        """Returns a supervised process, for example `trainer` or `agent-1`."""
        state = self.suite.home.read_state()
        assert state is not None
        pid = next(each.pid for each in state.processes if each.name == name)
        return psutil.Process(pid)

    def job(self, run: str) -> psutil.Process:
        """Returns the process that owns a run now, as its lease says."""
        lease = read_lease(self.store, lease_key(run))
        assert lease is not None, f"nobody has begun {run}"
        return psutil.Process(lease.record.process.pid)

    def await_agents(self, slots: int = 2) -> None:
        """Waits until so many slots are idle. Raises `TimeoutError`.

        An agent that a test has killed is back only when it has imported everything again, and a
        run that begins before has fewer workers.
        """
        deadline = time.monotonic() + _AGENTS_SECONDS
        while self._idle_slots() < slots:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {self._idle_slots()} of {slots} slots are idle")
            time.sleep(0.05)  # the pool tells nobody when an agent changes

    def _idle_slots(self) -> int:
        agents = self.training.ListAgents(trainer_pb2.ListAgentsRequest()).agents
        return sum(each.slots for each in agents if not each.training_run)

    def workers(self, agent: str) -> list[psutil.Process]:
        """Returns an agent's workers: the children of its warm process."""
        warm = self.supervised(agent).children()
        return [worker for process in warm for worker in process.children()]

    def processes(self) -> list[psutil.Process]:
        """Returns all living processes of the suite."""
        return suite_processes(self.state.suite)


@contextmanager
def running_suite(
    home: Path, options: SuiteOptions | None = None, environment: dict[str, str] | None = None
) -> Iterator[RunningSuite]:
    """Starts a suite in a folder of its own and stops it with all its processes.

    Args:
        home: State folder.
        options: Number of agents and slots.
        environment: Variables for all its processes, for example a shorter lease.
    """
    kept = dict(os.environ)
    os.environ.update({**_QUICK_START, **(environment or {})})
    suite = Suite(SuiteHome(home))
    try:
        with suite.running(options):
            running = RunningSuite(suite)
            try:
                yield running
            finally:
                running.close()
    finally:
        os.environ.clear()
        os.environ.update(kept)

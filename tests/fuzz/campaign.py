"""A campaign against the services of a running suite, and what it must not do to them."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import policy_pb2, study_pb2, tuner_pb2
from common.testing.suite import RunningSuite
from tests.fuzz.caller import Fuzzer, Report, methods
from tests.fuzz.messages import MessageGenerator
from tests.fuzz.right import right_requests

SERVICES = ("catalog", "trainer", "outlier", "analyzer", "tuner", "pruner")
_WARM_UP_SHARE = 0.2
_ACTIVE = "state!=SUCCEEDED AND state!=FAILED AND state!=CANCELLED"


@dataclass(frozen=True)
class Outcome:
    """How a service stood a campaign.

    Attributes:
        service: Its name in the suite.
        report: What it answered.
        grown_bytes: Resident memory at the end minus that after the first fifth.
        is_same_process: Whether it is the process that it was at the beginning.
    """

    service: str
    report: Report
    grown_bytes: int
    is_same_process: bool


def victims(suite: RunningSuite, service: str) -> list[str]:
    """Makes a resource of each kind that nobody needs, and returns their names.

    Args:
        suite: The suite.
        service: Who will be asked for them; what only another one knows, and takes long, is spared.
    """
    name = f"fuzz-{uuid.uuid4().hex[:8]}"
    rows = "\n".join(["a,b,y", *(f"{i},{i % 7},{i % 2}" for i in range(240))])
    split = dataset_pb2.SplitSpec(test_fraction=0.2)
    spec = dataset_pb2.DatasetImportSpec(split=split)
    version = suite.import_dataset(name, f"{name}.csv", rows.encode(), spec)
    run = suite.train(
        trainer_pb2.TrainingSpec(dataset_version=version, model=f"models/{name}", epochs=1)
    )
    imported = suite.datasets.ListDatasetImports(dataset_pb2.ListDatasetImportsRequest(page_size=1))
    upload = imported.dataset_imports[0].spec.upload
    lines = [version.partition("/versions/")[0], run.model_version.partition("/versions/")[0]]
    latest = [f"{line}/versions/latest" for line in lines]
    return [
        *lines,
        *latest,
        version,
        run.name,
        run.model_version,
        upload,
        imported.dataset_imports[0].name,
        *_outlier_victims(suite, version),
        *(_analysis_victims(suite, run.model_version) if service == "analyzer" else ()),
        *(_tuning_victims(suite, version) if service == "tuner" else ()),
        *(_pruning_victims(suite, version) if service == "pruner" else ()),
    ]


def _outlier_victims(suite: RunningSuite, version: str) -> list[str]:
    """Makes a scan with its detector, feedback, and an online detector's stream."""
    histograms = detector_pb2.DetectorSpec(hbos=detector_pb2.Hbos())
    scan = suite.scan(outlier_pb2.OutlierScanSpec(dataset_version=version, detectors=[histograms]))
    feedback = suite.outliers.ReportFeedback(
        outlier_pb2.ReportFeedbackRequest(subject=scan.name, row_numbers=[1], anomalous=[True])
    )
    stream = f"outlierStreams/fuzz-{uuid.uuid4().hex[:8]}"
    start = outlier_pb2.StreamStart(online=outlier_pb2.OnlineDetector(stream=stream))
    list(suite.outliers.ScoreStream(iter([outlier_pb2.ScoreStreamRequest(start=start)])))
    return [scan.name, scan.model_version, feedback.name, stream]


def _analysis_victims(suite: RunningSuite, model_version: str) -> list[str]:
    """Makes an analysis of the quickest part."""
    structure = analyzer_pb2.PartRequest(part=analyzer_pb2.ANALYSIS_PART_STRUCTURE)
    spec = analyzer_pb2.AnalysisSpec(model_version=model_version, parts=[structure])
    return [suite.analyse(spec).name]


def _tuning_victims(suite: RunningSuite, version: str) -> list[str]:
    """Makes a short search, a policy and a study."""
    tuned = _tuned(suite, version)
    return [tuned.name, tuned.model_version, _policy(suite, version), *_study(suite)]


def _pruning_victims(suite: RunningSuite, version: str) -> list[str]:
    """Makes a short pruning."""
    model = _tuned(suite, version).model_version
    spec = pruner_pb2.PruningSpec(model_version=model, methods=["smaller_parts"])
    spec.budget.FromSeconds(10)
    return [suite.prune(spec).name, model]


def _tuned(suite: RunningSuite, version: str) -> tuner_pb2.TuningRun:
    """Makes a short search."""
    spec = tuner_pb2.TuningSpec(dataset_version=version, families=["linear"])
    spec.budget.FromSeconds(10)
    return suite.tune(spec)


def _study(suite: RunningSuite) -> list[str]:
    """Makes a study with two trials under way."""
    spec = study_pb2.StudySpec(objectives=[study_pb2.StudyObjective(name="loss")])
    spec.parameters.add(name="x", number=study_pb2.NumberRange(low=0, high=1))
    study = suite.studies.CreateStudy(
        study_pb2.CreateStudyRequest(study=study_pb2.Study(spec=spec))
    )
    asked = study_pb2.AskTrialsRequest(parent=study.name, count=2)
    return [study.name, *(trial.name for trial in suite.studies.AskTrials(asked).trials)]


def _policy(suite: RunningSuite, version: str) -> str:
    """Makes a policy that begins nothing."""
    policy = policy_pb2.TuningPolicy(dataset=version.partition("/versions/")[0], paused=True)
    request = policy_pb2.CreateTuningPolicyRequest(tuning_policy=policy)
    return str(suite.policies.CreateTuningPolicy(request).name)


def attack(
    suite: RunningSuite,
    service: str,
    calls: int,
    seed: int,
    told: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Sends a service so many calls.

    Args:
        suite: The suite that it belongs to.
        service: One of `SERVICES`.
        calls: Number of calls.
        seed: Seed of everything random.
        told: Hears how many are done.
    """
    address = suite.state.addresses[service]
    chance = random.Random(seed)
    process = suite.supervised(service)
    with _tidied(suite):
        names = victims(suite, service)
        generator = MessageGenerator(chance, names, right_requests(names))
        fuzzer = Fuzzer(address, suite.token, methods(address, suite.token), generator, chance)
        first = round(calls * _WARM_UP_SHARE)
        asyncio.run(fuzzer.run(first, told))
        before = _resident_bytes(process)
        asyncio.run(fuzzer.run(calls - first, lambda done: told(first + done)))
        grown = _resident_bytes(process) - before
    return Outcome(service, fuzzer.report, grown, suite.supervised(service).pid == process.pid)


def _resident_bytes(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


@contextmanager
def _tidied(suite: RunningSuite) -> Iterator[None]:
    """Cancels what was started by accident: one call in some thousands is valid."""
    try:
        yield
    finally:
        runs = suite.training.ListTrainingRuns(
            trainer_pb2.ListTrainingRunsRequest(filter=_ACTIVE, page_size=1000)
        )
        for run in runs.training_runs:
            suite.training.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=run.name))
            suite.finish_run(run.name)
        scans = suite.outliers.ListOutlierScans(
            outlier_pb2.ListOutlierScansRequest(filter=_ACTIVE, page_size=1000)
        )
        for scan in scans.outlier_scans:
            suite.outliers.CancelOutlierScan(outlier_pb2.CancelOutlierScanRequest(name=scan.name))
            suite.finish_scan(scan.name)
        analyses = suite.analyses.ListAnalyses(
            analyzer_pb2.ListAnalysesRequest(filter=_ACTIVE, page_size=1000)
        )
        for analysis in analyses.analyses:
            suite.analyses.CancelAnalysis(analyzer_pb2.CancelAnalysisRequest(name=analysis.name))
            suite.finish_analysis(analysis.name)
        everything = policy_pb2.ListTuningPoliciesRequest(page_size=1000)
        for policy in suite.policies.ListTuningPolicies(everything).tuning_policies:
            suite.policies.DeleteTuningPolicy(
                policy_pb2.DeleteTuningPolicyRequest(name=policy.name)
            )
        tunings = suite.tuning.ListTuningRuns(
            tuner_pb2.ListTuningRunsRequest(filter=_ACTIVE, page_size=1000)
        )
        for tuning in tunings.tuning_runs:
            suite.tuning.CancelTuningRun(tuner_pb2.CancelTuningRunRequest(name=tuning.name))
            suite.finish_tuning(tuning.name)
        prunings = suite.pruning.ListPruningRuns(
            pruner_pb2.ListPruningRunsRequest(filter=_ACTIVE, page_size=1000)
        )
        for pruning in prunings.pruning_runs:
            suite.pruning.CancelPruningRun(pruner_pb2.CancelPruningRunRequest(name=pruning.name))
            suite.finish_pruning(pruning.name)

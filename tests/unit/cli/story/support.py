"""A story that has been told."""

from itertools import pairwise

from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2, comparison_pb2
from aimass.catalog.v1 import dataset_pb2, lineage_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.cli.documents import RunRequest, load_documents
from common.cli.progress import RunProgress
from common.cli.run_kinds import Run
from common.cli.story.data import planted
from common.cli.story.step import Chapter
from common.cli.story.steps import FILE, STEPS

FOUND_BY_KIND = 10
WINNER, SMALLER = "models/cells/versions/1", "models/cells/versions/2"


def chapters() -> list[Chapter]:
    """Returns how the steps may go."""
    requests = (each.request for each in load_documents(FILE))
    told = zip(STEPS, requests, _runs(), _answers(), strict=True)
    return [
        Chapter(step, request, run, _progress(), answers, 2.0)
        for step, request, run, answers in told
        if isinstance(request, RunRequest)
    ]


def lineage() -> lineage_pb2.TraceResponse:
    """Returns a line from a file to an analysis."""
    names = ["uploads/cells", "datasetImports/i", "datasets/cells/versions/1", "analyses/a"]
    found = lineage_pb2.TraceResponse(name=names[-1])
    found.nodes.extend(lineage_pb2.LineageNode(name=name) for name in reversed(names))
    for source, target in pairwise(names):
        found.edges.add(input=source, output=target)
    return found


def _runs() -> list[Run]:
    tuning = tuner_pb2.TuningRun(name="tuningRuns/t", model_version=WINNER)
    tuning.summary.metric = "roc_auc"
    tuning.summary.score.value, tuning.summary.test_score.value = 0.98, 0.97
    tuning.summary.members.add(family="linear", weight=0.75)
    tuning.summary.floor_scores["random_forest"] = 0.96
    training = trainer_pb2.TrainingRun(name="trainingRuns/n")
    training.recoveries.total.faults, training.recoveries.total.steps_lost = 1, 7
    use = training.outlier_comparison.results.add(use=trainer_pb2.OUTLIER_USE_DROP, adopted=True)
    use.reason = "It is better on every fold."
    training.outlier_comparison.adopted = use.use
    pruning = pruner_pb2.PruningRun(name="pruningRuns/p", model_version=SMALLER)
    pruning.summary.original.name, pruning.summary.recommended = "original", "one member"
    pruning.summary.point.size_gain = pruning.summary.point.latency_gain = 4.0
    pruning.summary.is_within, pruning.summary.metric = True, "roc_auc"
    return [
        dataset_pb2.DatasetImport(name="datasetImports/i"),
        outlier_pb2.OutlierScan(name="outlierScans/s"),
        tuning,
        training,
        pruning,
        analyzer_pb2.Analysis(name="analyses/a"),
    ]


def _answers() -> list[list[Message]]:
    version = dataset_pb2.DatasetVersion(row_count=569)
    version.split_counts.train = 342
    rows = [row for kind in planted().values() for row in kind[:FOUND_BY_KIND]]
    usual = min(set(range(569)).difference(*planted().values()))
    marked = [outlier_pb2.Anomaly(row=row, rank=rank) for rank, row in enumerate([*rows, usual], 1)]
    results = analyzer_pb2.AnalysisResults()
    results.comparison.verdict.text = "The smaller one is as good."
    for name in (WINNER, SMALLER):
        metric = comparison_pb2.ComparedMetric(metric="accuracy", value=0.95)
        results.comparison.versions.add(model_version=name, metrics=[metric])
    return [[version], [*marked], [], [], [], [results]]


def _progress() -> RunProgress:
    progress = RunProgress()
    for epoch in (1, 2, 3):
        values = {"train/loss": 1 / epoch, "validation/loss": 2 / epoch}
        list(progress.take(event_pb2.Event(metrics=event_pb2.Metrics(epoch=epoch, values=values))))
    return progress

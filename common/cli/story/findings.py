"""What came of each step, in sentences for the terminal and for the page alike."""

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2, comparison_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli import text
from common.cli.connection import Clients
from common.cli.paging import listed
from common.cli.pruning_views import recommendation
from common.cli.run_kinds import Run
from common.cli.story.data import planted
from common.cli.story.step import Chapter

_USES = {
    trainer_pb2.OUTLIER_USE_KEEP: "marked rows count like others",
    trainer_pb2.OUTLIER_USE_DROP: "marked rows are left out",
    trainer_pb2.OUTLIER_USE_DOWN_WEIGHT: "rows weigh the less the odder they are",
}


def of_data(chapter: Chapter) -> Iterator[str]:
    """Says how large the parts of the data are."""
    (version,) = chapter.answers
    assert isinstance(version, dataset_pb2.DatasetVersion)
    parts = version.split_counts
    yield (
        f"{version.row_count} rows: {parts.train} to learn from, {parts.validation} to choose by, "
        f"{parts.test} to judge by."
    )


def of_scan(chapter: Chapter) -> Iterator[str]:
    """Says how many of the rows that were spoilt are among those that are marked."""
    found = planted_found(chapter)
    counts = [f"{hit} of {total} {what}" for what, (hit, total) in found.items()]
    hits, planted_count = (sum(each) for each in zip(*found.values(), strict=True))
    others = len(chapter.answers) - hits
    yield f"{hits} of the {planted_count} spoilt rows were found: {', '.join(counts)}."
    yield f"{text.count(others, 'other row')} marked as well, odd by nature or by mistake."


def planted_found(chapter: Chapter) -> dict[str, tuple[int, int]]:
    """Returns how many spoilt rows a scan has marked, of how many, by what happened to them."""
    marked = {each.row for each in chapter.answers if isinstance(each, outlier_pb2.Anomaly)}
    return {what: (len(marked & set(rows)), len(rows)) for what, rows in planted().items()}


def of_search(chapter: Chapter) -> Iterator[str]:
    """Says how good the best model is, and what the marks were worth."""
    assert isinstance(chapter.run, tuner_pb2.TuningRun)
    summary = chapter.run.summary
    score = text.number(summary.score.value)
    tested = f", {text.number(summary.test_score.value)} on the test rows"
    families = ", ".join(dict.fromkeys(each.family for each in summary.members))
    yield f"{summary.metric} {score} out of fold{tested}, made of {families}."
    if summary.HasField("outliers"):
        yield summary.outliers.verdict


def of_network(chapter: Chapter) -> Iterator[str]:
    """Says what was adopted of the marks, and what the death of a worker has cost."""
    assert isinstance(chapter.run, trainer_pb2.TrainingRun)
    comparison = chapter.run.outlier_comparison
    adopted = next((each for each in comparison.results if each.adopted), None)
    if adopted is not None:
        yield f"Adopted: {_USES[comparison.adopted]}. {adopted.reason}"
    total = chapter.run.recoveries.total
    pause = text.seconds(text.span(total.total_pause))
    yield (
        f"{text.count(total.faults, 'worker')} killed: {pause} without steps, "
        f"{text.count(total.steps_lost, 'step')} done again, and nothing else lost."
    )


def of_pruning(chapter: Chapter) -> Iterator[str]:
    """Says what is recommended, and what it loses."""
    assert isinstance(chapter.run, pruner_pb2.PruningRun)
    summary = chapter.run.summary
    found = recommendation(summary)
    yield f"{found[0].upper()}{found[1:]}."
    yield (
        f"{summary.metric} {text.number(summary.original.score)} before and "
        f"{text.number(summary.point.score)} after, on {summary.judging_row_count} rows."
    )


def of_comparison(chapter: Chapter) -> Iterator[str]:
    """Says which version is the best."""
    yield comparison_of(chapter).verdict.text


def comparison_of(chapter: Chapter) -> comparison_pb2.ComparisonResult:
    """Returns the numbers of a comparison."""
    (results_,) = chapter.answers
    assert isinstance(results_, analyzer_pb2.AnalysisResults)
    return results_.comparison


def version(clients: Clients, run: Run) -> Sequence[Message]:
    """Asks for the version of the data that an import made."""
    assert isinstance(run, dataset_pb2.DatasetImport)
    request = dataset_pb2.GetDatasetVersionRequest(name=run.dataset_version)
    return [clients.datasets.GetDatasetVersion(request)]


def anomalies(clients: Clients, run: Run) -> Sequence[Message]:
    """Asks for the rows that a scan has marked, with the reasons."""
    assert isinstance(run, outlier_pb2.OutlierScan)
    request = outlier_pb2.ListAnomaliesRequest(parent=run.name)
    return listed(clients.outliers.ListAnomalies, request, "anomalies")


def results(clients: Clients, run: Run) -> Sequence[Message]:
    """Asks for the numbers of an analysis."""
    assert isinstance(run, analyzer_pb2.Analysis)
    request = analyzer_pb2.GetAnalysisResultsRequest(name=run.name)
    return [clients.analyses.GetAnalysisResults(request)]

"""Tables and plots of what each step found, for the page of the story."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from plotly import graph_objects as go

from aimass.analyzer.v1 import analyzer_pb2, comparison_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli import text
from common.cli.pruning_views import POINT_COLUMNS, best_points, point_row
from common.cli.scan_views import reasons, use_row
from common.cli.story.data import planted
from common.cli.story.findings import comparison_of, planted_found
from common.cli.story.step import Chapter
from common.reports.report import Cell, Part, Plot, Table
from common.reports.theme import MUTED, SERIES

_SHOWN_ANOMALIES = 12
_SHOWN_METRICS = 3
_LOSSES = {"train/loss": SERIES[0], "validation/loss": SERIES[1]}
_MILLISECONDS = 1e3


def exhibits(chapter: Chapter) -> list[Part]:
    """Returns what is shown of a step beside its sentences."""
    kind = type(chapter.run)
    return list(_EXHIBITS[kind](chapter)) if kind in _EXHIBITS else []


def _of_scan(chapter: Chapter) -> Iterator[Part]:
    counts = [(what, *each) for what, each in planted_found(chapter).items()]
    heads = ("what happened to the rows", "found", "of")
    yield Table(heads, counts, "Rows that were spoilt on purpose")
    spoilt = {row: what for what, rows in planted().items() for row in rows}
    anomalies = [each for each in chapter.answers if isinstance(each, outlier_pb2.Anomaly)]
    rows: list[Sequence[Cell]] = [
        (each.rank, each.row, spoilt.get(each.row), "; ".join(reasons(each.explanation)))
        for each in anomalies[:_SHOWN_ANOMALIES]
    ]
    columns = ("rank", "row", "spoilt: it was", "why the service says it is odd")
    yield Table(columns, rows, f"The oddest of {len(anomalies)} marked rows")


def _of_search(chapter: Chapter) -> Iterator[Part]:
    assert isinstance(chapter.run, tuner_pb2.TuningRun)
    summary = chapter.run.summary
    members = [(each.family, each.weight) for each in summary.members]
    yield Table(("family", "weight"), members, "What the best model is made of")
    floors = sorted(summary.floor_scores.items())
    scores: list[Sequence[Cell]] = [*floors, ("the model", summary.score.value)]
    caption = "Out of fold, beside what anybody would try first"
    yield Table(("model", summary.metric), scores, caption)
    yield from _uses(summary.outliers.comparison)


def _of_network(chapter: Chapter) -> Iterator[Part]:
    assert isinstance(chapter.run, trainer_pb2.TrainingRun)
    yield from _uses(chapter.run.outlier_comparison)
    figure = go.Figure([_curve(chapter, name, color) for name, color in _LOSSES.items()])
    figure.update_layout(xaxis_title="epoch", yaxis_title="loss")
    deaths = [each.epoch for each in chapter.progress.changes if each.recovery is not None]
    for epoch in deaths:
        figure.add_vline(x=epoch, line={"color": MUTED, "dash": "dot"})
    told = f"a worker was killed in epoch {deaths[0]}" if deaths else "no worker died"
    yield Plot(figure, f"Loss by epoch; {told} (dotted).", f"Two falling curves; {told}.")


def _curve(chapter: Chapter, metric: str, color: str) -> go.Scatter:
    rows = sorted(chapter.progress.by_epoch.items())
    points = [(epoch, values[metric]) for epoch, values in rows if metric in values]
    epochs, values = zip(*points, strict=True) if points else ((), ())
    return go.Scatter(x=epochs, y=values, name=metric, mode="lines", line={"color": color})


def _uses(comparison: trainer_pb2.OutlierComparison) -> Iterator[Part]:
    """Yields how the uses of marks did, where they were compared."""
    if comparison.results:
        columns = ("marked rows", "mean", "better by", "at least", "adopted", "why")
        rows = [use_row(each) for each in comparison.results]
        yield Table(columns, rows, "What marked rows are best taken for, by cross-validation")


def _of_pruning(chapter: Chapter) -> Iterator[Part]:
    assert isinstance(chapter.run, pruner_pb2.PruningRun)
    summary = chapter.run.summary
    columns = [each.removeprefix(">") for each in POINT_COLUMNS]
    rows = [point_row(each) for each in best_points(summary)]
    yield Table(columns, rows, f"Before and after; the score is {summary.metric}")


def _of_comparison(chapter: Chapter) -> Iterator[Part]:
    versions = comparison_of(chapter).versions
    metrics = [each.metric for each in versions[0].metrics[:_SHOWN_METRICS]] if versions else []
    columns = ("version", *metrics, "size", "time of one row, ms")
    rows = [_version_row(each, metrics) for each in versions]
    yield Table(columns, rows, "On the same test rows")


def _version_row(version: comparison_pb2.ComparedVersion, metrics: Iterable[str]) -> list[Cell]:
    values = {each.metric: each.value for each in version.metrics}
    costs = version.costs
    latency = costs.latency_seconds * _MILLISECONDS if costs.HasField("latency_seconds") else None
    scores = (values.get(metric) for metric in metrics)
    return [version.model_version, *scores, text.size(costs.size_bytes), latency]


_EXHIBITS: dict[type, Callable[[Chapter], Iterator[Part]]] = {
    outlier_pb2.OutlierScan: _of_scan,
    tuner_pb2.TuningRun: _of_search,
    trainer_pb2.TrainingRun: _of_network,
    pruner_pb2.PruningRun: _of_pruning,
    analyzer_pb2.Analysis: _of_comparison,
}

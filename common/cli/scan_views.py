"""Outlier scans on the screen: what was found, why rows are odd, what training makes of it."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from common.cli import text
from common.cli.context import make_table, print_trimmed

_SHOWN_GROUPS = 10
_SHOWN_COLUMNS = 4
_SHOWN_REASONS = 3
_SHOWN_ROWS = 6
_LONGEST_NAME = 60
_LONGEST_VALUE = 32
_LONGEST_SENTENCE = 160


def show_findings(scan: outlier_pb2.OutlierScan, console: Console) -> None:
    """Prints what a scan found, and where the rest of it is."""
    for line in _findings(scan.summary):
        console.print(text.harmless(line), soft_wrap=True, markup=False)
    if scan.summary.groups:
        print_trimmed(console, _groups_table(scan.summary.groups))
    for line in _places(scan):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def show_anomalies(anomalies: Sequence[outlier_pb2.Anomaly], console: Console) -> None:
    """Prints marked rows with the columns and relations that make them odd."""
    columns = (">rank", ">row", ">score", ">probability", ">p-value", ">group", "why")
    rows = [_anomaly_row(each) for each in anomalies]
    print_trimmed(console, make_table(columns, rows, top=True))


def show_detectors(cards: Iterable[outlier_pb2.DetectorCard], console: Console) -> None:
    """Prints what there is to know of detectors."""
    rows = [(card.name, card.fits, card.cost, f"{card.most_rows:,}", card.source) for card in cards]
    columns = ("detector", "good for", "cost", ">most rows", "published")
    print_trimmed(console, make_table(columns, rows, top=True))


def show_comparison(comparison: trainer_pb2.OutlierComparison, console: Console) -> None:
    """Prints how the uses of a scan's marks did, and which one the model was trained with."""
    columns = ("use of outliers", ">mean", ">better by", ">at least", "adopted", "why")
    print_trimmed(console, make_table(columns, [use_row(each) for each in comparison.results]))


def use_row(result: trainer_pb2.OutlierUseResult) -> tuple[str, ...]:
    """Returns how a use of marks did, as cells: use, mean, gain, its bound, adopted, why."""
    is_base = result.use == trainer_pb2.OUTLIER_USE_KEEP
    return (
        text.enum_word(trainer_pb2.OutlierUse.Name(result.use), "OUTLIER_USE_"),
        text.number(result.mean),
        "" if is_base else text.number(result.difference),
        "" if is_base else text.number(result.lower_bound),
        "yes" if result.adopted else "",
        result.reason,
    )


def _findings(summary: outlier_pb2.ScanSummary) -> Iterator[str]:
    marked = f"{summary.marked_count:,} of {text.count(summary.row_count, 'row')} marked"
    share = summary.marked_count / summary.row_count if summary.row_count else 0.0
    yield (
        f"{marked} ({_percent(share)}): scores above {text.number(summary.threshold)}; "
        f"the scores speak for {_percent(summary.expected_share)}"
    )
    yield f"detectors: {', '.join(summary.detectors)}"
    if summary.label_count:
        labels = text.count(summary.label_count, "label")
        yield (
            f"learned from {labels}, {summary.anomaly_label_count:,} of them anomalies: "
            f"{_percent(summary.learned_share)} of the score"
        )
    for left_out in summary.left_out:
        yield f"left out: {left_out.name}: {left_out.reason}"
    if summary.dropped_columns:
        yield f"columns that say nothing: {', '.join(summary.dropped_columns)}"


def _groups_table(groups: Sequence[outlier_pb2.AnomalyGroup]) -> Table:
    rows = [
        (
            str(number),
            f"{group.row_count:,}",
            ", ".join(
                f"{text.cut(each.column, _LONGEST_NAME)} {_percent(each.share)}"
                for each in group.columns[:_SHOWN_COLUMNS]
            ),
            ", ".join(str(row) for row in group.rows[:_SHOWN_ROWS]),
        )
        for number, group in enumerate(groups[:_SHOWN_GROUPS])
    ]
    rest = len(groups) - _SHOWN_GROUPS
    title = f"the largest of {len(groups)} groups" if rest > 0 else ""
    return make_table((">group", ">rows", "odd by", "oddest rows"), rows, title)


def _places(scan: outlier_pb2.OutlierScan) -> Iterator[str]:
    if scan.model_version:
        yield f"detector: {scan.model_version}"
    elif scan.summary.not_kept:
        yield f"the detector was not kept: {scan.summary.not_kept}"
    for what, artifact in (("scores", scan.scores), ("page", scan.page)):
        if artifact.uri:
            yield f"{what}: {artifact.uri}, {text.size(artifact.size_bytes)}"


def _anomaly_row(anomaly: outlier_pb2.Anomaly) -> tuple[str, ...]:
    return (
        str(anomaly.rank),
        str(anomaly.row),
        text.number(anomaly.score),
        text.number(anomaly.probability, digits=3),
        text.number(anomaly.p_value, digits=2),
        str(anomaly.group) if anomaly.HasField("group") else "",
        "\n".join(reasons(anomaly.explanation)),
    )


def reasons(explanation: outlier_pb2.Explanation) -> Iterator[str]:
    """Yields what makes a row odd, one column or relation each."""
    for reason in explanation.reasons[:_SHOWN_REASONS]:
        name = text.cut(reason.column, _LONGEST_NAME)
        value, usual = (text.cut(each, _LONGEST_VALUE) for each in (reason.value, reason.usual))
        yield f"{name} {value}" + (f", usual {usual}" if usual else "")
    for sentence in explanation.broken:
        yield text.cut(sentence, _LONGEST_SENTENCE)


def _percent(share: float) -> str:
    return f"{text.number(share * 100, digits=2)} %"

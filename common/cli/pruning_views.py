"""Prunings on the screen: what is recommended and why, what was measured, the methods."""

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from aimass.pruner.v1 import pruner_pb2
from common.cli import text
from common.cli.context import make_table, print_trimmed

_LONGEST_SENTENCE = 240
_MILLISECONDS = 1e3
POINT_COLUMNS = ("point", ">score", ">loss", ">latency", ">size", ">memory", "is")
_GAINS = (
    ("latency_gain", "faster"),
    ("size_gain", "smaller"),
    ("memory_gain", "less memory"),
    ("multiplications_gain", "fewer multiplications"),
)


def show_pruning(run: pruner_pb2.PruningRun, console: Console) -> None:
    """Prints what a pruning found and where the rest of it is; last, what is recommended."""
    summary = run.summary
    _print_lines(_lines(summary), console)
    show_points(best_points(summary), console, summary.metric)
    _print_lines([*_places(run), recommendation(summary)], console)


def subject_line(run: pruner_pb2.PruningRun) -> str:
    """Returns what a pruning makes smaller, what it is judged on, and the model that it made."""
    made = f": {run.model_version}" if run.model_version else ""
    return f"of {run.spec.model_version} on {run.spec.dataset_version}{made}"


def recommendation(summary: pruner_pb2.PruningSummary) -> str:
    """Returns what is recommended, and how much smaller it is."""
    if summary.recommended == summary.original.name:
        return "recommended: the model as it was"
    gains = [(getattr(summary.point, field), what) for field, what in _GAINS]
    gained = (f"{gain:.2f} times {what}" for gain, what in gains if gain > 1)
    told = ", ".join([summary.recommended, *gained])
    return f"recommended: {told}" if summary.is_within else f"nothing is within; nearest: {told}"


def best_points(summary: pruner_pb2.PruningSummary) -> list[pruner_pb2.Point]:
    """Returns the original, and beside it what is recommended, where that is another."""
    is_kept = summary.recommended == summary.original.name
    return [summary.original] if is_kept else [summary.original, summary.point]


def show_points(
    points: Iterable[pruner_pb2.Point], console: Console, metric: str = "score"
) -> None:
    """Prints what was measured: quality and costs."""
    columns = ["point", f">{metric}", *POINT_COLUMNS[2:]]
    rows = [point_row(each) for each in points]
    title = "in brackets: where the loss surely is; how many times less it is than of the original"
    print_trimmed(console, make_table(columns, rows, title))


def show_methods(methods: Iterable[pruner_pb2.PruningMethod], console: Console) -> None:
    """Prints the methods that a pruning may use."""
    rows = [(each.name, ", ".join(each.formats), each.description) for each in methods]
    print_trimmed(console, make_table(("method", "fits", "what it does"), rows, top=True))


def list_row(run: pruner_pb2.PruningRun, state: str) -> Sequence[str]:
    """Returns a line of a list of prunings."""
    found = run.summary
    gain = f"{found.gain:.2f}" if run.HasField("summary") else ""
    created = text.moment(run.status.create_time)
    return run.name, state, run.spec.model_version, found.recommended, gain, created


def _print_lines(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def _lines(summary: pruner_pb2.PruningSummary) -> Iterator[str]:
    yield from summary.reasons
    tried = text.count(summary.point_count, "point")
    chosen = text.count(summary.choosing_row_count, "row")
    yield f"{tried}, chosen by {chosen}, judged on {summary.judging_row_count:,}"
    for note in summary.notes:
        yield f"note: {text.cut(note, _LONGEST_SENTENCE)}"


def point_row(point: pruner_pb2.Point) -> tuple[str, ...]:
    """Returns the cells of `POINT_COLUMNS`."""
    low, high = (text.number(each, digits=2) for each in (point.loss_low, point.loss_high))
    standing = ("on the front" if point.is_on_front else "", "within" if point.is_within else "")
    return (
        point.name,
        text.number(point.score),
        f"{text.number(point.loss, digits=3)} ({low} to {high})",
        f"{_milliseconds(point.latency)} ({point.latency_gain:.2f})",
        f"{text.size(point.size_bytes)} ({point.size_gain:.2f})",
        f"{text.size(point.memory_bytes)} ({point.memory_gain:.2f})",
        ", ".join(filter(None, standing)),
    )


def _milliseconds(duration: Duration) -> str:
    return f"{text.number(text.span(duration) * _MILLISECONDS, digits=3)} ms"


def _places(run: pruner_pb2.PruningRun) -> Iterator[str]:
    for what in ("report", "front"):
        artifact = getattr(run, what)
        if artifact.uri:
            yield f"{what}: {artifact.uri}, {text.size(artifact.size_bytes)}"
    if run.report.uri:
        yield f"Look at it: aimass open {run.name}"
    if run.comparison:
        yield f"Compared by the analyzer: aimass open {run.comparison}"

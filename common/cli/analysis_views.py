"""Analyses on the screen: the verdict, what is wrong and the cure, how each part went."""

from collections.abc import Iterator

from rich.console import Console

from aimass.analyzer.v1 import analyzer_pb2, health_pb2
from common.cli import text
from common.cli.context import make_table, print_trimmed

_SHOWN_FINDINGS = 20
_LONGEST_NAME = 60
_LONGEST_SENTENCE = 240


def show_summary(analysis: analyzer_pb2.Analysis, console: Console) -> None:
    """Prints what an analysis found, and where the rest of it is."""
    summary = analysis.summary
    for line in _lines(summary):
        console.print(text.harmless(line), soft_wrap=True, markup=False)
    if summary.findings:
        rows = [_finding_row(each) for each in summary.findings[:_SHOWN_FINDINGS]]
        columns = ("severity", "about", "what is wrong", "cure")
        rest = len(summary.findings) - _SHOWN_FINDINGS
        title = f"{rest} more are in the report" if rest > 0 else ""
        print_trimmed(console, make_table(columns, rows, title, top=True))
    rows = [_part_row(each) for each in summary.parts]
    print_trimmed(console, make_table(("part", "state", ">took", "notes"), rows, top=True))
    for line in _places(analysis):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def subject_line(spec: analyzer_pb2.AnalysisSpec) -> str:
    """Returns what an analysis looks at, on what."""
    models = " against ".join([spec.model_version, *spec.challengers])
    return f"of {models} on {spec.dataset_version}"


def _lines(summary: analyzer_pb2.AnalysisSummary) -> Iterator[str]:
    yield summary.verdict
    metrics = ", ".join(
        f"{name} {text.number(value)}" for name, value in sorted(summary.metrics.items())
    )
    rows = text.count(summary.row_count, "row")
    yield f"{metrics} on {rows}" if metrics else f"looked at {rows}"


def _finding_row(finding: health_pb2.Finding) -> tuple[str, ...]:
    return (
        text.enum_word(health_pb2.Severity.Name(finding.severity), "SEVERITY_"),
        text.cut(finding.subject, _LONGEST_NAME) or "the model",
        text.cut(finding.problem, _LONGEST_SENTENCE),
        text.cut(finding.cure, _LONGEST_SENTENCE),
    )


def _part_row(outcome: analyzer_pb2.PartOutcome) -> tuple[str, ...]:
    state = text.enum_word(analyzer_pb2.PartState.Name(outcome.state), "PART_STATE_")
    return (
        text.enum_word(analyzer_pb2.AnalysisPart.Name(outcome.part), "ANALYSIS_PART_"),
        state.replace("_", " "),
        text.seconds(text.span(outcome.duration)),
        "\n".join(text.cut(each, _LONGEST_SENTENCE) for each in outcome.notes),
    )


def _places(analysis: analyzer_pb2.Analysis) -> Iterator[str]:
    for what in ("report", "results"):
        artifact = getattr(analysis, what)
        if artifact.uri:
            yield f"{what}: {artifact.uri}, {text.size(artifact.size_bytes)}"
    if analysis.report.uri:
        yield f"Look at it: aimass open {analysis.name}"

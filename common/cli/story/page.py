"""The story as one page, with links to the page of each run."""

from collections.abc import Iterator, Mapping, Sequence

from aimass.catalog.v1 import lineage_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli import text
from common.cli.grpcurl import grpcurl_line
from common.cli.run_kinds import result_of
from common.cli.story.exhibits import exhibits
from common.cli.story.findings import planted_found
from common.cli.story.step import Chapter
from common.reports.graph import GraphNode, graph_plot
from common.reports.rendering import render
from common.reports.report import Code, Link, Part, Report, Section

_TITLE = "From a table with faults to a small model"
_SUMMARY = (
    "One table, six services, step by step: each step is one request to one of them. Their own "
    "pages lie beside this one."
)


def story_page(
    chapters: Sequence[Chapter], lineage: lineage_pb2.TraceResponse, pages: Mapping[str, str]
) -> str:
    """Returns the page as HTML.

    Args:
        chapters: How the steps went, in order.
        lineage: What the last of them came from.
        pages: Names of the files with the runs' pages, beside this one, by label of the step.
    """
    steps = [_section(number, each, pages) for number, each in enumerate(chapters, 1)]
    return render(Report(_TITLE, _facts(chapters), [*steps, _lineage(lineage)], [_SUMMARY]))


def _section(number: int, chapter: Chapter, pages: Mapping[str, str]) -> Section:
    step, run = chapter.step, chapter.run
    parts: list[Part] = [*chapter.sentences, *exhibits(chapter)]
    if step.label in pages:
        parts.append(Link(f"The whole report of {run.name}", pages[step.label]))
    made = f" made {result_of(run)} and" if result_of(run) else ""
    caption = f"The request; {run.name}{made} took {text.seconds(chapter.seconds)}."
    parts.append(Code(grpcurl_line(chapter.request), caption))
    return Section(f"{number}. {step.title}", parts, step.purpose)


def _facts(chapters: Sequence[Chapter]) -> dict[str, str | int | float]:
    """Returns what readers want to know first."""
    facts: dict[str, str | int | float] = {}
    for chapter in chapters:
        facts |= _facts_of(chapter)
    return facts | {"All steps took": text.seconds(sum(each.seconds for each in chapters))}


def _facts_of(chapter: Chapter) -> Iterator[tuple[str, str | int | float]]:
    run = chapter.run
    if isinstance(run, outlier_pb2.OutlierScan):
        hits, planted = (sum(each) for each in zip(*planted_found(chapter).values(), strict=True))
        yield "Spoilt rows found", f"{hits} of {planted}"
    elif isinstance(run, tuner_pb2.TuningRun):
        yield f"Best model, {run.summary.metric}", run.summary.test_score.value
    elif isinstance(run, trainer_pb2.TrainingRun):
        total = run.recoveries.total
        yield "Steps done again for a killed worker", total.steps_lost
    elif isinstance(run, pruner_pb2.PruningRun) and run.model_version:
        yield "Smaller by", f"{run.summary.point.size_gain:.1f} times"
        yield "Faster by", f"{run.summary.point.latency_gain:.1f} times"


def _lineage(found: lineage_pb2.TraceResponse) -> Section:
    nodes = [GraphNode(each.name, each.name, each.summary) for each in found.nodes]
    edges = [(each.input, each.output) for each in found.edges]
    caption = f"What {found.name} came from: each line leads from what went in to what came out."
    told = f"{len(nodes)} resources, from the file that was uploaded to the last run."
    command = Code(f"aimass trace {found.name}", "The same in a terminal.")
    return Section("Lineage", [graph_plot(nodes, edges, caption, told), command])

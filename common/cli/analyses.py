"""`aimass analyses` and `aimass analyze`: what is inside models, and how versions differ."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from aimass.analyzer.v1 import analyzer_pb2
from common.cli.analysis_views import show_summary, subject_line
from common.cli.context import CliContext, context_of
from common.cli.dataset_spec import choice, words
from common.cli.datasets import version_name
from common.cli.run_files import download_files
from common.cli.run_views import follow_created, show_run

app = typer.Typer(
    help="Analyses of models: what they found, report and numbers; comparisons of versions.",
    no_args_is_help=True,
)
PARTS = analyzer_pb2.AnalysisPart.DESCRIPTOR
Name = Annotated[str, typer.Argument(help="`analyses/<id>`, or the id.")]
Data = Annotated[
    str, typer.Option(help="Data set version to look at. Default: what the model was trained on.")
]
Part = Annotated[list[str] | None, typer.Option(help=" | ".join(words(PARTS)) + ". Default: all.")]
Budget = Annotated[
    int | None, typer.Option(min=5, help="Seconds that all parts may take. Default: 120.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Return once it is created.")]
_FILES = {"report": "report.html", "results": "results.binpb"}


def register(root: typer.Typer) -> None:
    """Adds `analyze`."""
    root.command()(analyze)


def analyze(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Model version, for example iris or iris/3.")],
    data: Data = "",
    part: Part = None,
    budget: Budget = None,
    detach: Detach = False,
) -> None:
    """Look into a model version and follow the analysis; `open` shows its report."""
    cli = context_of(context)
    spec = _spec(data, part or [], budget)
    spec.model_version = version_name("models", model)
    request = analyzer_pb2.CreateAnalysisRequest(
        analysis=analyzer_pb2.Analysis(spec=spec), request_id=str(uuid.uuid4())
    )
    created = cli.clients.analyses.CreateAnalysis(request)
    follow_created(cli, created.name, detach)


@app.command()
def compare(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="Model versions, the baseline first.")],
    data: Data = "",
    part: Part = None,
    budget: Budget = None,
    detach: Detach = False,
) -> None:
    """Compare model versions on the same rows: metrics, rows that flipped, layers, cost."""
    cli = context_of(context)
    request = analyzer_pb2.CompareModelsRequest(
        model_versions=[version_name("models", each) for each in models],
        options=_spec(data, part or [], budget),
        request_id=str(uuid.uuid4()),
    )
    created = cli.clients.analyses.CompareModels(request)
    follow_created(cli, created.name, detach)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what an analysis found: verdict, metrics, what is wrong with the cure, its parts."""
    cli = context_of(context)
    analysis = _get(cli, name)
    show_run(cli, analysis, subject_line(analysis.spec), show_summary)


@app.command()
def download(
    context: typer.Context,
    name: Name,
    to: Annotated[Path | None, typer.Option(help="Folder. Default: the analysis's id.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only `report`, or only `results`.")
    ] = None,
) -> None:
    """Download the report (HTML) and the numbers (AnalysisResults) of an analysis."""
    cli = context_of(context)
    download_files(cli, _get(cli, name), _FILES, to, only or [])


def full_name(name: str) -> str:
    """Returns an analysis's resource name."""
    return name if "/" in name else f"analyses/{name}"


def _get(cli: CliContext, name: str) -> analyzer_pb2.Analysis:
    request = analyzer_pb2.GetAnalysisRequest(name=full_name(name))
    return cli.clients.analyses.GetAnalysis(request)


def _spec(data: str, parts: list[str], budget: int | None) -> analyzer_pb2.AnalysisSpec:
    spec = analyzer_pb2.AnalysisSpec(dataset_version=version_name("datasets", data) if data else "")
    for each in parts:
        part = analyzer_pb2.AnalysisPart.ValueType(choice("--part", each, PARTS))
        spec.parts.add(part=part)
    if budget is not None:
        spec.budget.FromSeconds(budget)
    return spec

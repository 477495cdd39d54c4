"""`aimass prunings`: models that are smaller and faster at equal quality."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from aimass.pruner.v1 import pruner_pb2
from common.cli.context import CliContext, context_of
from common.cli.dataset_spec import choice, words
from common.cli.datasets import version_name
from common.cli.paging import listed
from common.cli.pruning_views import (
    list_row,
    show_methods,
    show_points,
    show_pruning,
    subject_line,
)
from common.cli.run_files import download_files
from common.cli.run_kinds import state_of
from common.cli.run_views import follow_created, show_run

app = typer.Typer(
    help="Prunings: make a model smaller and faster, see what was measured, choose among it.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`pruningRuns/<id>`, or the id.")]
_GAINS = pruner_pb2.Gain.DESCRIPTOR
_RUNTIMES = pruner_pb2.PruningRuntime.DESCRIPTOR
_IMPORTANCES = pruner_pb2.Importance.DESCRIPTOR
_FILES = {"report": "report.html", "front": "front.parquet"}


@app.command()
def create(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Model version, for example iris, iris/3 or iris@champion.")
    ],
    data: Annotated[
        str,
        typer.Option(help="Data set version to judge on. Default: what the model is made from."),
    ] = "",
    gain: Annotated[str, typer.Option(help=" | ".join(words(_GAINS)) + ". Default: latency.")] = "",
    metric: Annotated[
        str, typer.Option(help="roc_auc, log_loss, rmse, ... Default: the usual one.")
    ] = "",
    max_loss: Annotated[
        float | None, typer.Option(min=0, help="Largest loss of the metric. Default: a hundredth.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(min=0.5, max=0.999, help="How sure of it. Default: 0.95.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Methods to try, see `prunings methods`. Default: all that fit."),
    ] = None,
    runtime: Annotated[
        str, typer.Option(help=" | ".join(words(_RUNTIMES)) + ". Default: as the model.")
    ] = "",
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=65_536, help="Rows predicted at once. Default: 32.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=64, help="Threads that compute. Default: 1.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=10, help="Seconds that everything may take. Default: 600.")
    ] = None,
    into: Annotated[
        str, typer.Option(help="Model that gets the new version. Default: the same.")
    ] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of training networks again. Default: 4.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="That train networks; 0: none. Default: 4.")
    ] = None,
    importance: Annotated[
        str,
        typer.Option(help="How units are ranked: " + " | ".join(words(_IMPORTANCES)) + "."),
    ] = "",
    keep_layer: Annotated[
        list[str] | None, typer.Option(help="A layer that stays as it is; may be repeated.")
    ] = None,
    compare: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Whether the analyzer compares the result with the original. Default: yes.",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is created.")] = False,
) -> None:
    """Make a model version smaller at equal quality, and follow the pruning to its end."""
    cli = context_of(context)
    spec = pruner_pb2.PruningSpec(
        model_version=version_name("models", model),
        dataset_version=version_name("datasets", data) if data else "",
        model=into if not into or "/" in into else f"models/{into}",
        gain=pruner_pb2.Gain.ValueType(choice("--gain", gain, _GAINS)),
        metric=metric,
        max_loss=max_loss,
        confidence=confidence,
        methods=method,
        seed=seed,
        kept_layers=keep_layer,
        compare=compare,
    )
    if runtime or batch_size or threads:
        kind = pruner_pb2.PruningRuntime.ValueType(choice("--runtime", runtime, _RUNTIMES))
        target = pruner_pb2.PruningTarget(runtime=kind, batch_size=batch_size, threads=threads)
        spec.target.CopyFrom(target)
    if epochs is not None or workers is not None:
        spec.fine_tuning.CopyFrom(pruner_pb2.FineTuning(epochs=epochs, workers=workers))
    if importance:
        chosen = choice("--importance", importance, _IMPORTANCES)
        spec.importance = pruner_pb2.Importance.ValueType(chosen)
    if budget is not None:
        spec.budget.FromMilliseconds(round(budget * 1000))
    request = pruner_pb2.CreatePruningRunRequest(
        pruning_run=pruner_pb2.PruningRun(spec=spec), request_id=str(uuid.uuid4())
    )
    created = cli.clients.pruning.CreatePruningRun(request)
    follow_created(cli, created.name, detach)


@app.command("list")
def list_(
    context: typer.Context,
    filter_: Annotated[
        str,
        typer.Option("--filter", help='For example `spec.model_version="models/a/versions/1"`.'),
    ] = "",
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
) -> None:
    """List prunings, newest first."""
    cli = context_of(context)
    request = pruner_pb2.ListPruningRunsRequest(filter=filter_)
    found = listed(cli.clients.pruning.ListPruningRuns, request, "pruning_runs", most)
    if cli.as_json:
        cli.print_json(found)
        return
    columns = ("name", "state", "model", "recommended", ">gain", "created")
    cli.print_table(columns, [list_row(each, state_of(each)) for each in found])


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what a pruning found: the recommended point, why it, where the rest is."""
    cli = context_of(context)
    run = _get(cli, name)
    show_run(cli, run, subject_line(run), show_pruning)


@app.command()
def points(
    context: typer.Context,
    name: Name,
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List what a pruning has measured: the front first, by how much is gained."""
    cli = context_of(context)
    request = pruner_pb2.ListPointsRequest(name=full_name(name))
    found = listed(cli.clients.pruning.ListPoints, request, "points", most)
    if cli.as_json:
        cli.print_json(found)
        return
    show_points(found, cli.console)


@app.command()
def apply(
    context: typer.Context,
    name: Name,
    point: Annotated[str, typer.Argument(help="Name of the point, see `prunings points`.")],
) -> None:
    """Make any point of a pruning a model version; the same point gives the same version."""
    cli = context_of(context)
    request = pruner_pb2.ApplyPointRequest(name=full_name(name), point=point)
    made = cli.clients.pruning.ApplyPoint(request)
    if cli.as_json:
        cli.print_json([made])
        return
    cli.console.print(f"[bold]{made.model_version}[/]")


@app.command()
def download(
    context: typer.Context,
    name: Name,
    to: Annotated[Path | None, typer.Option(help="Folder. Default: the pruning's id.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only `report`, or only `front`.")] = None,
) -> None:
    """Download the report (HTML) and all points (Parquet), checked against their digests."""
    cli = context_of(context)
    download_files(cli, _get(cli, name), _FILES, to, only or [])


@app.command()
def methods(context: typer.Context) -> None:
    """List the methods that a pruning may use, and the models that they fit."""
    cli = context_of(context)
    found = cli.clients.pruning.ListMethods(pruner_pb2.ListMethodsRequest()).methods
    if cli.as_json:
        cli.print_json(found)
        return
    show_methods(found, cli.console)


def full_name(name: str) -> str:
    """Returns a pruning's resource name."""
    return name if "/" in name else f"pruningRuns/{name}"


def _get(cli: CliContext, name: str) -> pruner_pb2.PruningRun:
    request = pruner_pb2.GetPruningRunRequest(name=full_name(name))
    return cli.clients.pruning.GetPruningRun(request)

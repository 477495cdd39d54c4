"""`aimass tune` and `aimass tunings`: the best model for a data set within a budget."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from aimass.tuner.v1 import tuner_pb2
from common.cli.context import CliContext, context_of
from common.cli.dataset_spec import choice, words
from common.cli.datasets import version_name
from common.cli.paging import listed
from common.cli.run_files import download_files
from common.cli.run_views import follow_created, show_run
from common.cli.tuning_views import (
    KINDS,
    USES,
    show_candidates,
    show_families,
    show_portfolio,
    show_tuning,
    subject_line,
)

app = typer.Typer(
    help="Searches for models: what they found, all candidates, report. `tune` starts them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`tuningRuns/<id>`, or the id.")]
_FILES = {"report": "report.html", "leaderboard": "leaderboard.parquet"}


def register(root: typer.Typer) -> None:
    """Adds `tune`."""
    root.command()(tune)


def tune(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Data set version, for example iris or iris/3.")],
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict. Default: the data set's target.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="roc_auc, log_loss, f1, rmse, ... Default: the usual one.")
    ] = "",
    budget: Annotated[
        float | None, typer.Option(min=5, help="Seconds that everything may take. Default: 600.")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, max=64, help="Trials at once, a core each. Default: 1.")
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Families to try, see `tunings families`. Default: all that fit."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model to make. Default: as the data set.")] = "",
    kind: Annotated[
        str, typer.Option(help=" | ".join(words(KINDS)) + ". Default: as the target says.")
    ] = "",
    left_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Column that nothing is learned from.")
    ] = None,
    weight: Annotated[str, typer.Option(help="Column with the weight of each row.")] = "",
    group: Annotated[str, typer.Option(help="Column whose equal values stay together.")] = "",
    champion: Annotated[
        str, typer.Option(help="Model to compare with: models/iris@champion. Default: none.")
    ] = "",
    outliers: Annotated[
        str, typer.Option(help="Outlier scan whose marks are tried as weights. Default: none.")
    ] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.")] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Forecast so many steps of series.")
    ] = None,
    time: Annotated[str, typer.Option(help="Column with the times of series.")] = "",
    series: Annotated[
        list[str] | None, typer.Option(help="Column that names the series of a row.")
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(help="Column whose future is known, prices for instance.")
    ] = None,
    season: Annotated[
        list[int] | None, typer.Option(min=2, help="Steps after which a pattern comes again.")
    ] = None,
    portfolio: Annotated[
        str, typer.Option(help=" | ".join(words(USES)) + ": what to know of other data.")
    ] = "",
    continue_from: Annotated[
        str, typer.Option(help="Search of the same data set to go on from, for example tune-1.")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is created.")] = False,
) -> None:
    """Find the best model for a data set within a budget, and follow the search to its end."""
    cli = context_of(context)
    spec = tuner_pb2.TuningSpec(
        dataset_version=version_name("datasets", dataset),
        model=model if not model or "/" in model else f"models/{model}",
        targets=target,
        kind=tuner_pb2.ProblemKind.ValueType(choice("--kind", kind, KINDS)),
        metric=metric,
        concurrency=cores,
        families=family,
        left_out=left_out,
        weight_column=weight,
        group_column=group,
        champion=champion if not champion or "/" in champion else f"models/{champion}",
        seed=seed,
        continue_from=full_name(continue_from) if continue_from else "",
        portfolio=tuner_pb2.PortfolioUse.ValueType(choice("--portfolio", portfolio, USES)),
    )
    if outliers:
        spec.outliers.scan = outliers if "/" in outliers else f"outlierScans/{outliers}"
    if budget is not None:
        spec.budget.FromMilliseconds(round(budget * 1000))
    if horizon or time or series or known or season:
        spec.forecast.CopyFrom(
            tuner_pb2.ForecastSpec(
                time_column=time,
                series_columns=series,
                horizon=horizon or 0,
                season_lengths=season,
                known_columns=known,
            )
        )
    request = tuner_pb2.CreateTuningRunRequest(
        tuning_run=tuner_pb2.TuningRun(spec=spec), request_id=str(uuid.uuid4())
    )
    created = cli.clients.tuning.CreateTuningRun(request)
    follow_created(cli, created.name, detach)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what a search found: score, floors, parts of the model, where the rest is."""
    cli = context_of(context)
    run = _get(cli, name)
    show_run(cli, run, subject_line(run), show_tuning)


@app.command()
def candidates(
    context: typer.Context,
    name: Name,
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List what a search has tried, the best first: scores, times, settings."""
    cli = context_of(context)
    request = tuner_pb2.ListCandidatesRequest(name=full_name(name))
    found = listed(cli.clients.tuning.ListCandidates, request, "candidates", most)
    if cli.as_json:
        cli.print_json(found)
        return
    show_candidates(found, cli.console)


@app.command()
def download(
    context: typer.Context,
    name: Name,
    to: Annotated[Path | None, typer.Option(help="Folder. Default: the search's id.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only `report`, or only `leaderboard`.")
    ] = None,
) -> None:
    """Download the report (HTML) and all candidates (Parquet), checked against their digests."""
    cli = context_of(context)
    download_files(cli, _get(cli, name), _FILES, to, only or [])


@app.command()
def families(context: typer.Context) -> None:
    """List the families of models that a search may try."""
    cli = context_of(context)
    found = cli.clients.tuning.ListFamilies(tuner_pb2.ListFamiliesRequest()).families
    if cli.as_json:
        cli.print_json(found)
        return
    show_families(found, cli.console)


@app.command()
def portfolio(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
) -> None:
    """List what is known of other data: own searches, the newest first, then what ships."""
    cli = context_of(context)
    request = tuner_pb2.ListPortfolioRequest()
    found = listed(cli.clients.tuning.ListPortfolio, request, "entries", most)
    if cli.as_json:
        cli.print_json(found)
        return
    show_portfolio(found, cli.console)


def full_name(name: str) -> str:
    """Returns a search's resource name."""
    return name if "/" in name else f"tuningRuns/{name}"


def _get(cli: CliContext, name: str) -> tuner_pb2.TuningRun:
    request = tuner_pb2.GetTuningRunRequest(name=full_name(name))
    return cli.clients.tuning.GetTuningRun(request)

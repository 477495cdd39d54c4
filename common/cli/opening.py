"""`aimass open`: shows the page that a run has made in the browser."""

import webbrowser
from typing import Annotated

import typer

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import transfer_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli.analyses import full_name
from common.cli.context import context_of
from common.cli.errors import CliError
from common.cli.run_files import file_of
from common.cli.run_kinds import Run, calls_for


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("open")(open_)


def open_(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="`analyses/<id>`, `outlierScans/<id>`, `pruningRuns/<id>`, `tuningRuns/<id>`, or "
            "an analysis's id."
        ),
    ],
    url_only: Annotated[bool, typer.Option("--url-only", help="Only print the address.")] = False,
) -> None:
    """Open the report of an analysis, tuning or pruning, or the page of an outlier scan.

    The address works for an hour, for whoever has it.
    """
    cli = context_of(context)
    full = full_name(name)
    run = calls_for(cli.clients, full).get(full)
    request = transfer_pb2.CreateArtifactUrlRequest(artifact=file_of(run, _page_of(run)))
    address = cli.clients.transfer.CreateArtifactUrl(request).url
    cli.console.print(address, soft_wrap=True, markup=False)
    if not url_only:
        webbrowser.open(address)


def _page_of(run: Run) -> str:
    """Returns the field that refers to a run's page."""
    if isinstance(run, analyzer_pb2.Analysis | pruner_pb2.PruningRun | tuner_pb2.TuningRun):
        return "report"
    if isinstance(run, outlier_pb2.OutlierScan):
        return "page"
    raise CliError(f"{run.name} makes no page; analyses, outlier scans, prunings and tunings do.")

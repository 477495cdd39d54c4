"""`aimass open`: shows the page that a run has made in the browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import transfer_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli.context import CliContext, context_of
from common.cli.errors import CliError
from common.cli.run_files import file_of
from common.cli.run_kinds import Run, calls_for, full_name

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("open")(open_)


def open_(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="`analyses/<id>`, `outlierScans/<id>`, `pruningRuns/<id>`, `tuningRuns/<id>`, an "
            "id alone, or the path of a page that was downloaded."
        ),
    ],
    url_only: Annotated[bool, typer.Option("--url-only", help="Only print the address.")] = False,
) -> None:
    """Open the report of an analysis, tuning or pruning, the page of an outlier scan, or a file.

    The address of what is not a file works for an hour, for whoever has it.
    """
    cli = context_of(context)
    full = full_name(name, default="analyses")
    address = _address_of_file(Path(name)) or _address_of_run(cli, full)
    cli.console.print(address, soft_wrap=True, markup=False)
    if not url_only:
        webbrowser.open(address)


def open_file(page: Path) -> bool:
    """Opens a page of this machine. Returns whether there is a screen to open it on."""
    has_screen = sys.platform == "darwin" or any(map(os.environ.get, _SCREENS))
    return has_screen and webbrowser.open(page.absolute().as_uri())


def page_of(run: Run) -> str:
    """Returns the field that refers to a run's page; empty for kinds that make none."""
    if isinstance(run, analyzer_pb2.Analysis | pruner_pb2.PruningRun | tuner_pb2.TuningRun):
        return "report"
    return "page" if isinstance(run, outlier_pb2.OutlierScan) else ""


def _address_of_file(path: Path) -> str:
    return path.absolute().as_uri() if path.suffix == ".html" and path.is_file() else ""


def _address_of_run(cli: CliContext, name: str) -> str:
    run = calls_for(cli.clients, name).get(name)
    page = page_of(run)
    if not page:
        makers = "analyses, outlier scans, prunings and tunings"
        raise CliError(f"{run.name} makes no page; {makers} do.")
    request = transfer_pb2.CreateArtifactUrlRequest(artifact=file_of(run, page))
    return cli.clients.transfer.CreateArtifactUrl(request).url

"""`aimass scans`: what outlier scans found."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from aimass.outlier.v1 import outlier_pb2
from aimass.type.v1 import run_pb2
from common.cli import text
from common.cli.context import CliContext, context_of
from common.cli.errors import show as show_error
from common.cli.follow import why_failed
from common.cli.run_files import download_files
from common.cli.run_kinds import state_of
from common.cli.scan_views import show_anomalies, show_detectors, show_findings

app = typer.Typer(
    help="Outlier scans: what they found and why, scores and page. `apply` starts them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`outlierScans/<id>`, or the id.")]
_FILES = {"page": "page.html", "scores": "scores.parquet"}
_MOST_ON_A_PAGE = 1000


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what a scan found: marked rows, detectors, groups of anomalies, where the rest is."""
    cli = context_of(context)
    scan = _get(cli, name)
    if cli.as_json:
        cli.print_json([scan])
        return
    taken = text.between(scan.status.start_time, scan.status.end_time)
    cli.console.print(f"[bold]{scan.name}[/]  {state_of(scan)}  {taken}".rstrip())
    cli.console.print(text.harmless(f"of {scan.spec.dataset_version}"), markup=False)
    if scan.HasField("summary"):
        show_findings(scan, cli.console)
    if scan.status.state == run_pb2.RUN_STATE_FAILED:
        show_error(why_failed(scan), cli.console)


@app.command()
def anomalies(
    context: typer.Context,
    name: Name,
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List the oddest rows of a scan with the reasons, the oddest first."""
    cli = context_of(context)
    found = list(islice(_anomalies(cli, full_name(name), most), most))
    if cli.as_json:
        cli.print_json(found)
        return
    show_anomalies(found, cli.console)


@app.command()
def download(
    context: typer.Context,
    name: Name,
    to: Annotated[Path | None, typer.Option(help="Folder. Default: the scan's id.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only `page`, or only `scores`.")] = None,
) -> None:
    """Download the page and the scores of a scan, checked against their digests."""
    cli = context_of(context)
    download_files(cli, _get(cli, name), _FILES, to, only or [])


@app.command()
def detectors(context: typer.Context) -> None:
    """List the detectors that a scan can name: for what data each is, what it costs."""
    cli = context_of(context)
    found = cli.clients.outliers.ListDetectors(outlier_pb2.ListDetectorsRequest()).detectors
    if cli.as_json:
        cli.print_json(found)
        return
    show_detectors(found, cli.console)


def full_name(name: str) -> str:
    """Returns a scan's resource name."""
    return name if "/" in name else f"outlierScans/{name}"


def _get(cli: CliContext, name: str) -> outlier_pb2.OutlierScan:
    request = outlier_pb2.GetOutlierScanRequest(name=full_name(name))
    return cli.clients.outliers.GetOutlierScan(request)


def _anomalies(cli: CliContext, parent: str, most: int) -> Iterator[outlier_pb2.Anomaly]:
    size = min(most, _MOST_ON_A_PAGE)
    request = outlier_pb2.ListAnomaliesRequest(parent=parent, page_size=size)
    while True:
        page = cli.clients.outliers.ListAnomalies(request)
        yield from page.anomalies
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token

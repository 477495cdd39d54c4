"""`aimass scans`: what outlier scans found."""

from pathlib import Path
from typing import Annotated

import typer

from aimass.outlier.v1 import outlier_pb2
from common.cli.context import CliContext, context_of
from common.cli.paging import listed
from common.cli.run_files import download_files
from common.cli.run_views import show_run
from common.cli.scan_views import show_anomalies, show_detectors, show_findings

app = typer.Typer(
    help="Outlier scans: what they found and why, scores and page. `apply` starts them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`outlierScans/<id>`, or the id.")]
_FILES = {"page": "page.html", "scores": "scores.parquet"}


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what a scan found: marked rows, detectors, groups of anomalies, where the rest is."""
    cli = context_of(context)
    scan = _get(cli, name)
    show_run(cli, scan, f"of {scan.spec.dataset_version}", show_findings)


@app.command()
def anomalies(
    context: typer.Context,
    name: Name,
    most: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
) -> None:
    """List the oddest rows of a scan with the reasons, the oddest first."""
    cli = context_of(context)
    request = outlier_pb2.ListAnomaliesRequest(parent=full_name(name))
    found = listed(cli.clients.outliers.ListAnomalies, request, "anomalies", most)
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

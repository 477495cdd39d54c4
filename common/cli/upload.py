"""Transfers with a progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from aimass.type.v1 import artifact_pb2
from common.cli.context import CliContext
from common.cli.errors import CliError, CommandInterruptedError
from common.cli.transfer import download_artifact, upload_file


def upload_with_bar(cli: CliContext, path: Path) -> str:
    """Uploads a file. Returns the resource name of the upload.

    Raises:
        CliError: There is no such file.
        CommandInterruptedError: Ctrl-C; what has arrived stays for the next try.
    """
    if not path.is_file():
        raise CliError(f"There is no file {path}.")
    with _bars(cli.console) as bars:
        task = bars.add_task(f"uploading {path.name}", total=path.stat().st_size)
        try:
            return upload_file(
                cli.clients.transfer, path, lambda done: bars.update(task, completed=done)
            )
        except KeyboardInterrupt:
            message = f"{path.name} is not uploaded whole; the same command goes on from there."
            raise CommandInterruptedError(message) from None


def download_with_bar(cli: CliContext, artifact: artifact_pb2.ArtifactRef, path: Path) -> None:
    """Downloads an artifact into a file."""
    with _bars(cli.console) as bars:
        task = bars.add_task(path.name, total=artifact.size_bytes)
        download_artifact(
            cli.clients.transfer, artifact, path, lambda done: bars.update(task, completed=done)
        )


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        disable=not console.is_terminal,
    )

"""What the commands of all kinds of runs show alike."""

from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from aimass.type.v1 import run_pb2
from common.cli import text
from common.cli.context import CliContext
from common.cli.errors import show as show_error
from common.cli.follow import follow_or_leave, why_failed
from common.cli.run_kinds import calls_for, state_of


def show_run(
    cli: CliContext, run: Any, subject: str, show_found: Callable[[Any, Console], None]
) -> None:
    """Prints a run: its state, what it is about, what it found or why it failed.

    Args:
        cli: Where to print.
        run: With a `status` and a `summary`.
        subject: What it is about.
        show_found: Prints its summary; called where there is one.
    """
    if cli.as_json:
        cli.print_json([run])
        return
    taken = text.between(run.status.start_time, run.status.end_time)
    cli.console.print(f"[bold]{run.name}[/]  {state_of(run)}  {taken}".rstrip())
    cli.console.print(text.harmless(subject), soft_wrap=True, markup=False)
    if run.HasField("summary"):
        show_found(run, cli.console)
    if run.status.state == run_pb2.RUN_STATE_FAILED:
        show_error(why_failed(run), cli.console)


def follow_created(cli: CliContext, name: str, detach: bool) -> None:
    """Says that a run was created, and follows it to its end.

    Args:
        cli: Where to print.
        name: Of the run.
        detach: Whether to leave it instead.

    Raises:
        typer.Exit: With the exit code that its end gives.
    """
    cli.console.print(f"[bold]{name}[/] was created")
    if not detach:
        raise typer.Exit(follow_or_leave(calls_for(cli.clients, name), name, cli.console))

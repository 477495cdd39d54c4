"""`aimass runs`: runs of all kinds."""

from itertools import islice
from typing import Annotated

import typer

from aimass.type.v1 import run_pb2
from common.cli import text
from common.cli.context import context_of
from common.cli.follow import follow_or_leave
from common.cli.run_kinds import (
    NAMES,
    Run,
    all_calls,
    calls_for,
    full_name,
    result_of,
    state_of,
    waits_for,
)

app = typer.Typer(
    help="Runs of all kinds: list, show, watch, cancel, delete.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help=NAMES)]


@app.command("list")
def list_(
    context: typer.Context,
    filter_: Annotated[
        str, typer.Option("--filter", help="For example `state=RUNNING` or `labels.team=vision`.")
    ] = "",
    most: Annotated[int, typer.Option(help="At most this many of each kind.")] = 50,
) -> None:
    """List runs of all kinds, newest first."""
    cli = context_of(context)
    found: list[Run] = []
    for calls in all_calls(cli.clients):
        found += islice(calls.pages(filter_), most)
    if cli.as_json:
        cli.print_json(found)
        return
    found.sort(key=lambda run: run.status.create_time.ToNanoseconds(), reverse=True)
    rows = [_row(run) for run in found]
    cli.print_table(("name", "state", ">done", "stage", "created", ">took", "result"), rows)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show a run with all its fields."""
    cli = context_of(context)
    full = full_name(name)
    run = calls_for(cli.clients, full).get(full)
    if cli.as_json:
        cli.print_json([run])
        return
    cli.console.print(f"[bold]{run.name}[/]  {state_of(run)}  {text.number(_done(run))} % done")
    cli.print_yaml(run)


@app.command()
def watch(context: typer.Context, name: Name) -> None:
    """Follow a run to its end; Ctrl-C leaves it running."""
    cli = context_of(context)
    full = full_name(name)
    raise typer.Exit(follow_or_leave(calls_for(cli.clients, full), full, cli.console))


@app.command()
def cancel(context: typer.Context, name: Name) -> None:
    """Ask a run to stop."""
    cli = context_of(context)
    full = full_name(name)
    run = calls_for(cli.clients, full).cancel(full)
    cli.console.print(f"{run.name} is {state_of(run)}")


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a run that ended, with its events and what only it has."""
    cli = context_of(context)
    full = full_name(name)
    calls_for(cli.clients, full).delete(full)
    cli.console.print(f"{full} is deleted")


def _row(run: Run) -> tuple[str, ...]:
    status = run.status
    return (
        run.name,
        state_of(run),
        f"{_done(run):.0f} %",
        waits_for(run) or status.progress.stage,
        text.moment(status.create_time),
        text.between(status.start_time, status.end_time),
        result_of(run),
    )


def _done(run: Run) -> float:
    if run.status.state == run_pb2.RUN_STATE_SUCCEEDED:
        return 100.0
    return run.status.progress.fraction * 100

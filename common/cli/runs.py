"""`aimass runs`: runs of all kinds."""

from itertools import islice
from typing import Annotated

import typer

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.cli import text
from common.cli.context import context_of
from common.cli.errors import CliError
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
from common.cli.training_views import show_training

app = typer.Typer(
    help="Runs of all kinds: list, show, watch, cancel, delete, harm.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help=NAMES)]
_FAULTS = {
    name.removeprefix("FAULT_KIND_").lower().replace("_", "-"): number
    for name, number in trainer_pb2.FaultKind.items()
    if number
}


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
    if isinstance(run, trainer_pb2.TrainingRun):
        show_training(run, cli.console)
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


@app.command()
def inject(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="`trainingRuns/<id>`, or the id.")],
    kind: Annotated[str, typer.Argument(help=", ".join(_FAULTS))],
    rank: Annotated[
        int | None, typer.Option(min=0, help="Worker to harm. Default: 0.", show_default=False)
    ] = None,
    agent: Annotated[str, typer.Option(help="Agent to harm. Default: that of rank 0.")] = "",
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=600,
            help="Seconds that slow-worker and cut-link last. Default: 10.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Do harm to a training run, to see it recover.

    For admins, where the trainer runs with AIMASS_TRAINER_FAULT_INJECTION=true.
    """
    cli = context_of(context)
    request = trainer_pb2.InjectFaultRequest(
        name=full_name(name), kind=_fault_kind(kind), rank=rank, agent=agent
    )
    if duration is not None:
        request.duration.FromMilliseconds(round(duration * 1000))
    done = cli.clients.training.InjectFault(request).done
    follow = f"What becomes of it: aimass runs watch {request.name}"
    for line in (done, follow):
        cli.console.print(text.harmless(line), soft_wrap=True, markup=False)


def _fault_kind(word: str) -> trainer_pb2.FaultKind.ValueType:
    found = _FAULTS.get(word.lower().replace("_", "-"))
    if found is None:
        raise CliError(f"{word} is no fault.", hint=f"one of {', '.join(_FAULTS)}")
    return found


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

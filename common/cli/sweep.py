"""`aimass sweep`: removes what nothing needs any more, or says what would go."""

from datetime import timedelta
from typing import Annotated

import typer

from aimass.maintenance.v1 import maintenance_pb2
from common.cli import text
from common.cli.context import context_of, make_table, print_trimmed

_SWEEP_SECONDS = 600.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(sweep)


def sweep(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    older_than_hours: Annotated[
        float | None,
        typer.Option(
            help="Only what has not changed for so long. Default: the services' settings."
        ),
    ] = None,
) -> None:
    """Remove unused uploads and what attempts of ended runs left behind."""
    cli = context_of(context)
    request = maintenance_pb2.SweepRequest(dry_run=dry_run)
    if older_than_hours is not None:
        request.older_than.FromTimedelta(timedelta(hours=older_than_hours))
    rows, count, size = [], 0, 0
    for service, stub in cli.clients.maintenance.items():
        found = stub.Sweep(request, timeout=_SWEEP_SECONDS)
        count, size = count + found.item_count, size + found.size_bytes
        rows += [_row(service, item) for item in found.items]
    if rows:
        print_trimmed(cli.console, make_table(["service", "kind", "name", ">size", ">age"], rows))
    verb = "would go" if dry_run else "gone"
    cli.console.print(f"{text.count(count, 'thing')}, {text.size(size)} {verb}.")


def _row(service: str, item: maintenance_pb2.SweptItem) -> list[str]:
    age = text.seconds(item.age.ToTimedelta().total_seconds())
    return [service, item.kind, item.name, text.size(item.size_bytes), age]

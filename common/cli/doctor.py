"""`aimass doctor`: what is missing or wrong on this machine, with the cure."""

import json
from dataclasses import asdict

import typer
from rich.markup import escape

from common.cli.checks import Level, all_findings
from common.cli.context import context_of

_MARKS = {Level.GOOD: "[green]good[/]   ", Level.NOTE: "[yellow]note[/]   "}
_PROBLEM = "[bold red]problem[/]"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(context: typer.Context) -> None:
    """Look for what is missing or wrong on this machine. Exit code 1 when there is a problem."""
    cli = context_of(context)
    problems = 0
    for finding in all_findings(cli):
        problems += finding.level is Level.PROBLEM
        if cli.as_json:
            cli.console.print(json.dumps(asdict(finding)), soft_wrap=True, markup=False)
            continue
        mark = _MARKS.get(finding.level, _PROBLEM)
        cli.console.print(f"{mark} {escape(finding.what)}", soft_wrap=True)
        if finding.cure:
            cli.console.print(f"        [dim]Try:[/] {escape(finding.cure)}", soft_wrap=True)
    if not cli.as_json:
        summary = "All is well." if not problems else f"Problems: {problems}."
        cli.console.print(summary)
    raise typer.Exit(1 if problems else 0)

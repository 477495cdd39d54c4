"""All commands of `aimass`: start the suite, send data and runs to it, follow them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import grpc
import typer

from common.cli import (
    agents,
    analyses,
    apply,
    datasets,
    debug,
    doctor,
    models,
    opening,
    policies,
    prunings,
    runs,
    scans,
    studies,
    suite,
    sweep,
    trace,
    tunings,
)
from common.cli.context import CliContext, context_of, make_console
from common.cli.errors import CliError, CommandInterruptedError, said_by, show
from common.cli.exits import EXIT_INTERRUPTED
from common.errors import AimassError
from common.local.home import SuiteHome
from common.tls import TlsError

app = typer.Typer(
    name="aimass",
    help="Self-hosted training of models: data in, elastic training, models and lineage out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
suite.register(app)
apply.register(app)
analyses.register(app)
tunings.register(app)
opening.register(app)
trace.register(app)
debug.register(app)
doctor.register(app)
sweep.register(app)
app.add_typer(datasets.app, name="datasets")
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")
app.add_typer(scans.app, name="scans")
app.add_typer(analyses.app, name="analyses")
app.add_typer(tunings.app, name="tunings")
app.add_typer(prunings.app, name="prunings")
app.add_typer(policies.app, name="policies")
app.add_typer(studies.app, name="studies")
app.add_typer(agents.app, name="agents")


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="State folder of the local suite. Default: AIMASS_HOME, else your data."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print resources as JSON.")] = False,
) -> None:
    """Sets up what every command gets."""
    chosen = SuiteHome(home) if home else SuiteHome.default()
    context.obj = CliContext(chosen, as_json)


@app.command(hidden=True)
def demo(
    context: typer.Context,
    home: Annotated[Path, typer.Option(help="State folder of its suite.")] = Path("build/demo"),
    reports: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("reports"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the suite running.")] = False,
) -> None:
    """Tell the whole story on real data: from a table with faults to a small, explained model."""
    try:
        # It needs the services and what makes pages, which a client has not.
        from common.cli.demo import run_demo  # noqa: PLC0415
    except ImportError as error:
        missing = f"The demonstration needs {error.name}, which is not installed."
        raise CliError(missing, hint="make demo, in a checkout") from None
    run_demo(SuiteHome(home), context_of(context).console, reports, keep=keep)


def run(arguments: Sequence[str]) -> int:
    """Runs the command.

    Args:
        arguments: The command line without the program's name.

    Returns:
        Exit code: 0 success, 1 an error or a run that failed, 2 wrong usage, 130 interrupted.
    """
    try:
        return _call(arguments)
    except (CliError, AimassError, TlsError, grpc.RpcError, OSError) as error:
        show(said_by(error), make_console(sys.stderr))
        return EXIT_INTERRUPTED if isinstance(error, CommandInterruptedError) else 1


def _call(arguments: Sequence[str]) -> int:
    try:
        app(args=list(arguments), prog_name="aimass")
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # typer's answer to Ctrl-C, which says nothing
            raise CommandInterruptedError from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0

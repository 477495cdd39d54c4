"""The suite on this machine: up, down, status, logs, env."""

import shlex
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.text import Text

from common.cli import text
from common.cli.connection import TOKEN_VARIABLE, local_endpoint
from common.cli.context import CliContext, context_of
from common.cli.errors import CliError, CommandInterruptedError
from common.cli.log_lines import added_lines, last_lines, readable
from common.local.home import Phase, ProcessState, SuiteHome, SuiteState
from common.services import ADDRESS_VARIABLES, SERVICE_PORTS

if TYPE_CHECKING:
    from common.local.suite import Suite, SuiteReport

_STYLES = {Phase.RUNNING: "green", Phase.FAILED: "bold red", Phase.STOPPED: "dim"}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (up, down, status, logs, env):
        app.command()(command)


def open_suite(home: SuiteHome) -> "Suite":
    """Returns the suite of a state folder.

    Raises:
        CliError: Only the client is installed.
    """
    try:
        # Imported here: a client without the services has none of what it needs.
        from common.local.suite import Suite  # noqa: PLC0415
    except ImportError as error:
        raise CliError(
            f"This needs the services, which are not installed ({error.name} is missing).",
            hint="pip install 'aimass[all]'",
        ) from None
    return Suite(home)


def up(
    context: typer.Context,
    agents: Annotated[int, typer.Option(min=0, help="Worker agents.")] = 2,
    slots: Annotated[int, typer.Option(min=1, help="Workers that one agent runs at a time.")] = 1,
) -> None:
    """Start the suite in the background and wait until it is ready."""
    cli = context_of(context)
    suite = open_suite(cli.home)
    ran_before = cli.home.is_locked()
    state = start(cli, suite, agents, slots)
    how = "runs already; nothing was changed" if ran_before else "runs"
    cli.console.print(f"The suite {how}; its state is in {cli.home.path}.")
    for service, address in state.addresses.items():
        cli.console.print(f"  {service:<8} {address}")
    cli.console.print(f"  store    {state.store_endpoint} ({state.store})")
    home = "" if cli.home.path == SuiteHome.default().path else f" --home {cli.home.path}"
    cli.console.print(f"Look at it: aimass{home} status   Stop it: aimass{home} down")


def start(cli: CliContext, suite: "Suite", agents: int, slots: int) -> SuiteState:
    """Starts a suite and shows what is being waited for; Ctrl-C stops it again.

    Raises:
        CliError: It cannot be started.
    """
    from common.local.plan import SuiteOptions  # noqa: PLC0415
    from common.local.suite import SuiteError  # noqa: PLC0415

    with cli.console.status("starting") as spinner:
        try:
            return suite.up(
                SuiteOptions(agents, slots), lambda state: spinner.update(_waiting_for(state))
            )
        except SuiteError as error:
            where = f"logs are in {cli.home.log_folder}"
            raise CliError(f"The suite cannot start: {error}.", (where,)) from None
        except KeyboardInterrupt:
            raise CommandInterruptedError("what was started is stopped again.") from None


def down(context: typer.Context) -> None:
    """Stop the suite with all its processes; data stays."""
    cli = context_of(context)
    suite = open_suite(cli.home)
    with cli.console.status("stopping"):
        stopped = suite.down()
    cli.console.print("The suite is stopped." if stopped else f"No suite runs in {cli.home.path}.")


def status(context: typer.Context) -> None:
    """Show the processes of the suite. Exit code 1 when it does not run as it should."""
    cli = context_of(context)
    report = open_suite(cli.home).report()
    if report is None:
        raise CliError(f"There was never a suite in {cli.home.path}.", hint="aimass up")
    healthy = report.supervised and report.state.phase is Phase.RUNNING
    cli.print_table(
        ("process", "state", ">pid", "address", ">restarts", ">memory"),
        [_row(each.state, each.memory, report.supervised) for each in report.processes],
    )
    for line in _remarks(report, cli):
        cli.console.print(line, soft_wrap=True)
    failed = any(each.state.phase is Phase.FAILED for each in report.processes)
    raise typer.Exit(0 if healthy and not failed else 1)


def logs(
    context: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(SERVICE_PORTS)}, store, agent-1, supervisor, or a run's name."
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines to begin with.")] = 100,
) -> None:
    """Show the log of a process: readable on a terminal, as it is in a pipe."""
    cli = context_of(context)
    path = cli.home.log_file(service.replace("/", "-"))
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in cli.home.log_folder.glob("*.log")))
        raise CliError(f"There is no log of {service}; there is {known or 'none yet'}.")
    shown = chain(last_lines(path, lines), added_lines(path) if follow else ())
    for line in shown:
        text_ = text.harmless(readable(line)) if cli.console.is_terminal else line
        cli.console.print(text_, soft_wrap=True, markup=False)


def env(context: typer.Context) -> None:
    """Print shell lines that name the suite and its token: eval "$(aimass env)"."""
    cli = context_of(context)
    endpoint = local_endpoint(cli.home)
    given = {ADDRESS_VARIABLES[name]: each for name, each in endpoint.addresses.items()}
    for variable, value in {**given, TOKEN_VARIABLE: endpoint.token}.items():
        line = f"export {variable}={shlex.quote(value)}"
        cli.console.print(line, soft_wrap=True, markup=False)


def _waiting_for(state: SuiteState) -> str:
    waiting = [each for each in state.processes if each.phase is not Phase.RUNNING]
    started = [each for each in waiting if each.pid or each.message]
    words = [f"{each.name} {each.message}".strip() for each in started]
    return f"starting {escape(', '.join(words))}"


def _row(process: ProcessState, memory: int, supervised: bool) -> tuple[str | Text, ...]:
    phase = process.phase if supervised or process.phase is Phase.FAILED else Phase.STOPPED
    style = _STYLES.get(phase, "yellow")
    return (
        process.name,
        Text(phase, style),
        str(process.pid) if process.pid and memory else "",
        process.address,
        str(process.restarts),
        text.size(memory) if memory else "",
    )


def _remarks(report: "SuiteReport", cli: CliContext) -> Iterator[str]:
    if report.job_count:
        memory = text.size(report.job_memory)
        yield f"Processes of runs, those that stand by included: {report.job_count}, {memory}"
    total = report.job_memory + sum(each.memory for each in report.processes)
    if report.supervised:
        yield f"The suite is {report.state.phase}; memory {text.size(total)} in all."
    elif total:
        yield "The supervisor was killed; what it left runs unwatched. Try: aimass up"
    elif report.state.phase is Phase.FAILED:
        yield f"The suite could not start; its logs are in {cli.home.log_folder}."
    else:
        yield f"The suite in {cli.home.path} is stopped."
    for each in report.processes:
        if each.state.message:
            yield f"[red]{each.state.name} {escape(each.state.message)}[/]"

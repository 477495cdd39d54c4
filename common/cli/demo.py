"""`aimass demo`: the suite tells its story on real data, with a worker killed in the middle."""

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from aimass.catalog.v1 import lineage_pb2
from common.cli import text
from common.cli.connection import Clients, local_endpoint
from common.cli.context import CliContext
from common.cli.errors import CommandInterruptedError
from common.cli.opening import open_file, page_of
from common.cli.run_files import file_of
from common.cli.story.page import story_page
from common.cli.story.places import program, shown
from common.cli.story.step import Chapter
from common.cli.story.telling import tell
from common.cli.suite import open_suite, start
from common.cli.trace import show_lineage
from common.cli.upload import download_with_bar
from common.local.home import SuiteHome

_WORKERS = 2
_PAGE = "story.html"

_interrupted = threading.Event()


def run_demo(home: SuiteHome, console: Console, reports: Path, *, keep: bool) -> None:
    """Starts a suite, carries out the steps of the story, writes its page, stops it all.

    Args:
        home: State folder of the suite.
        console: Where to show it.
        reports: Folder for the pages.
        keep: Whether to leave the suite running.

    Raises:
        CliError: Something did not go as it should.
    """
    cli = CliContext(home, console=console)
    suite = open_suite(cli.home)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        began = time.monotonic()
        start(cli, suite, agents=_WORKERS, slots=1)
        cli.console.print(f"The suite is up after {text.seconds(time.monotonic() - began)}.")
        cli.clients = Clients(local_endpoint(cli.home))
        page = _told(cli, reports)
        cli.console.print(f"\nAll of this took {text.seconds(time.monotonic() - began)}.")
        _show(cli, page)
    except KeyboardInterrupt:
        left = "the suite goes on." if keep else "nothing is left running."
        raise CommandInterruptedError(left) from None
    finally:
        if not keep:
            # A second Ctrl-C must not leave half a suite behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            cli.console.print("Stopping the suite.")
            suite.down()
    cli.console.print("Done; nothing is left running." if not keep else "The suite goes on.")


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _check_interrupted() -> None:
    """Raises again what was swallowed: imports of large libraries contain bare excepts."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _told(cli: CliContext, reports: Path) -> Path:
    """Tells the story. Returns its page."""
    reports.mkdir(parents=True, exist_ok=True)
    chapters: list[Chapter] = []
    pages: dict[str, str] = {}
    for chapter in tell(cli):
        _check_interrupted()
        chapters.append(chapter)
        pages |= _downloaded(cli, chapter, reports)
    lineage = _lineage(cli, chapters)
    page = reports / _PAGE
    page.write_text(story_page(chapters, lineage, pages), encoding="utf-8")
    _summary(cli, chapters)
    _next_steps(cli, chapters)
    return page


def _downloaded(cli: CliContext, chapter: Chapter, reports: Path) -> dict[str, str]:
    """Keeps the page of a run, where it made one. Returns its file's name, by label of the step."""
    field = page_of(chapter.run)
    if not field or not getattr(chapter.run, field).uri:
        return {}
    path = reports / f"{chapter.step.label}.html"
    download_with_bar(cli, file_of(chapter.run, field), path)
    cli.console.print(f"   its report: {escape(shown(path))}")
    return {chapter.step.label: path.name}


def _lineage(cli: CliContext, chapters: Sequence[Chapter]) -> lineage_pb2.TraceResponse:
    """Draws what the last run came from."""
    name = chapters[-1].run.name
    cli.console.print(f"\n[bold]Where it all came from: aimass trace {name}[/]")
    request = lineage_pb2.TraceRequest(name=name)
    found = cli.clients.lineage.Trace(request)
    show_lineage(found, cli.console)
    return found


def _summary(cli: CliContext, chapters: Sequence[Chapter]) -> None:
    cli.console.print("\n[bold]How long it took[/]")
    rows = [(each.step.title, each.run.name, text.seconds(each.seconds)) for each in chapters]
    cli.print_table(("step", "run", ">took"), rows)


def _show(cli: CliContext, page: Path) -> None:
    where = escape(shown(page))
    if cli.console.is_terminal and open_file(page):
        cli.console.print(f"The whole story is open in the browser: [bold]{where}[/]")
    else:
        cli.console.print(f"The whole story: [bold]{program('aimass')} open {where}[/]")


def _next_steps(cli: CliContext, chapters: Sequence[Chapter]) -> None:
    aimass = f"{program('aimass')} --home {shown(cli.home.path)}"
    grpcurl = f'{program("grpcurl")} -plaintext -H "authorization: Bearer $AIMASS_TOKEN"'
    cli.console.print("\n[bold]Keep a suite running and look further[/]")
    lines = (
        f"{aimass} up",
        f'eval "$({aimass} env)"',
        f"{grpcurl} $AIMASS_CATALOG_ADDRESS aimass.catalog.v1.ModelService/ListModels",
        f"{grpcurl} $AIMASS_TRAINER_ADDRESS describe aimass.trainer.v1.TrainingSpec",
        f"{aimass} analyses show {chapters[-1].run.name}",
        f"{aimass} down",
    )
    for line in lines:
        cli.console.print(f"  {escape(line)}", soft_wrap=True)

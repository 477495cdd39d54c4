"""Following a run to its end: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from aimass.analyzer.v1 import analyzer_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.cli import text
from common.cli.analysis_views import show_summary
from common.cli.context import make_table, print_trimmed
from common.cli.errors import CliError, CommandInterruptedError, from_status, show
from common.cli.progress import RunProgress
from common.cli.pruning_views import show_pruning
from common.cli.run_kinds import Run, epochs_of, result_of, state_of
from common.cli.scan_views import show_comparison, show_findings
from common.cli.training_views import show_training
from common.cli.tuning_views import show_tuning

_PLAIN_INTERVAL_SECONDS = 10.0
_METRICS_ORDER = (
    "train/loss",
    "train/accuracy",
    "validation/loss",
    "validation/accuracy",
    "learning_rate",
    "rows_per_second",
)


class Followed(Protocol):
    """What following a run asks of its calls."""

    def get(self, name: str) -> Run:
        """Returns a run."""
        ...

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        ...


class Display(Protocol):
    """Where the progress of one run is shown."""

    def show(self, progress: RunProgress) -> None:
        """Shows the newest values."""
        ...

    def line(self, line: str) -> None:
        """Prints a line that stays."""
        ...


class LiveDisplay:
    """A bar with the newest values below it, redrawn in place; lines go above it."""

    def __init__(self, console: Console, name: str) -> None:
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[workers]}"),
            TextColumn("[dim]{task.fields[left]}"),
        )
        self._task = self._bars.add_task(name, total=1.0, workers="", left="")
        self._summary = Text(no_wrap=True, overflow="ellipsis")
        self.live = Live(Group(self._bars, self._summary), console=console, refresh_per_second=10)

    def show(self, progress: RunProgress) -> None:
        """Shows the newest values."""
        left = "" if progress.remaining is None else f"{text.seconds(progress.remaining)} left"
        self._bars.update(
            self._task,
            completed=1.0 if progress.ended else progress.fraction,
            workers=progress.workers_text(),
            left="" if progress.ended else left,
        )
        self._summary.plain = f"  {progress.summary()}"

    def line(self, line: str) -> None:
        """Prints a line that stays."""
        self.live.console.print(f"  {escape(text.harmless(line))}")


class PlainDisplay:
    """Lines for logs and pipes: one at the end of each epoch, else one every ten seconds."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._epoch = 0
        self._printed = time.monotonic()

    def show(self, progress: RunProgress) -> None:
        """Prints the newest values where they are news."""
        is_news = progress.complete_epoch > self._epoch and not progress.ended
        if is_news or time.monotonic() - self._printed > _PLAIN_INTERVAL_SECONDS:
            self._epoch = progress.complete_epoch
            workers = progress.workers_text()
            more = f" · {workers}" if workers else ""
            self.line(f"{progress.fraction:4.0%} {progress.summary()}{more}")

    def line(self, line: str) -> None:
        """Prints a line."""
        self._printed = time.monotonic()
        self._console.print(f"{self._name}: {escape(text.harmless(line))}", soft_wrap=True)


@contextmanager
def _live(console: Console, name: str) -> Iterator[Display]:
    display = LiveDisplay(console, name)
    with display.live:
        yield display


@contextmanager
def _plain(console: Console, name: str) -> Iterator[Display]:
    yield PlainDisplay(console, name)


def open_display(console: Console, name: str) -> AbstractContextManager[Display]:
    """Returns the display that suits the console."""
    return _live(console, name) if console.is_terminal else _plain(console, name)


def follow(
    calls: Followed,
    name: str,
    console: Console,
    on_event: Callable[[event_pb2.Event, RunProgress], None] = lambda event, progress: None,
) -> tuple[Run, RunProgress]:
    """Shows a run's progress until it has ended.

    Args:
        calls: The calls of its kind.
        name: Its resource name.
        console: Where to show it.
        on_event: Called after each event.

    Returns:
        The run as it ended, and the picture its events gave.
    """
    progress = RunProgress(epochs=epochs_of(calls.get(name)))
    with open_display(console, name.rpartition("/")[2]) as display:
        for event in calls.watch(name, 0):
            for line in progress.take(event):
                display.line(line)
            display.show(progress)
            on_event(event, progress)
    return calls.get(name), progress


def follow_or_leave(calls: Followed, name: str, console: Console) -> int:
    """Follows a run and prints how it ended; Ctrl-C leaves it running.

    Returns:
        Exit code: 0 when it succeeded, 1 when it did not.

    Raises:
        CommandInterruptedError: It was left.
    """
    try:
        run, progress = follow(calls, name, console)
    except KeyboardInterrupt:
        stop = f"Stop it: aimass runs cancel {name}"
        raise CommandInterruptedError(
            f"{name} goes on.", (stop,), f"aimass runs watch {name}"
        ) from None
    print_outcome(run, progress, console)
    return 0 if run.status.state == run_pb2.RUN_STATE_SUCCEEDED else 1


def print_outcome(run: Run, progress: RunProgress, console: Console) -> None:
    """Prints how a run ended: what it made, or why it failed."""
    status = run.status
    took = text.between(status.start_time, status.end_time) or "0 s"
    state = state_of(run)
    if progress.by_epoch:
        print_trimmed(console, metrics_table(progress))
    made = f": {result_of(run)}" if result_of(run) else ""
    if status.state == run_pb2.RUN_STATE_SUCCEEDED:
        console.print(f"[bold green]{state}[/] in {took}{made}")
        _print_findings(run, console)
        return
    if status.state == run_pb2.RUN_STATE_FAILED:
        show(why_failed(run), console)
        return
    console.print(f"[bold yellow]{state}[/] after {took}{made}")
    if isinstance(run, tuner_pb2.TuningRun) and run.HasField("summary"):
        show_tuning(run, console)  # it has kept the best so far


def why_failed(run: Run) -> CliError:
    """Returns what a run that failed says of it, and where to look further."""
    took = text.between(run.status.start_time, run.status.end_time) or "0 s"
    error = from_status(run.status.error)
    message = f"{run.name} failed after {took}: {error.message}"
    return CliError(message, error.details, error.hint or f"aimass logs {run.name}")


def _print_findings(run: Run, console: Console) -> None:
    """Prints what a run has found beside what it made."""
    if isinstance(run, analyzer_pb2.Analysis):
        show_summary(run, console)
    elif isinstance(run, outlier_pb2.OutlierScan):
        show_findings(run, console)
    elif isinstance(run, tuner_pb2.TuningRun):
        show_tuning(run, console)
    elif isinstance(run, pruner_pb2.PruningRun):
        show_pruning(run, console)
    elif isinstance(run, trainer_pb2.TrainingRun):
        if run.HasField("outlier_comparison"):
            show_comparison(run.outlier_comparison, console)
        show_training(run, console)


def metrics_table(progress: RunProgress, most: int = 30) -> Table:
    """Returns the metrics per epoch as a table."""
    found = {name for row in progress.by_epoch.values() for name in row}
    names = [name for name in _METRICS_ORDER if name in found]
    names += sorted(found.difference(names))
    epochs = sorted(progress.by_epoch)
    skipped = len(epochs) - most
    shown = epochs if skipped <= 0 else [*epochs[: most // 2], *epochs[-most // 2 :]]
    rows = []
    for epoch in shown:
        values = progress.by_epoch[epoch]
        cells = [text.number(values[name]) if name in values else "" for name in names]
        rows.append([str(epoch), *cells])
    title = f"{skipped} epochs in the middle are left out" if skipped > 0 else ""
    return make_table([">epoch", *(f">{name}" for name in names)], rows, title)

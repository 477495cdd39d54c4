"""The story told in a terminal: each step with its request, its progress and what came of it."""

import time
from collections.abc import Iterator, Mapping
from itertools import islice

from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape

from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.cli import text
from common.cli.apply import create
from common.cli.context import CliContext, print_trimmed
from common.cli.documents import Document, RunRequest, load_documents
from common.cli.errors import CliError
from common.cli.follow import follow, metrics_table, print_outcome
from common.cli.grpcurl import grpcurl_line
from common.cli.progress import RunProgress
from common.cli.pruning_views import best_points, show_points
from common.cli.run_kinds import Run, calls_for, result_of, state_of
from common.cli.scan_views import show_anomalies
from common.cli.story.killing import WorkerKiller
from common.cli.story.places import program
from common.cli.story.step import Chapter, Step
from common.cli.story.steps import FILE, STEPS
from common.cli.upload import upload_with_bar

_SHOWN_ANOMALIES = 3
_SHOWN_EPOCHS = 6


def tell(cli: CliContext) -> Iterator[Chapter]:
    """Carries out the steps and yields each when it has ended, well.

    Raises:
        CliError: A run did not succeed, or a worker could not be killed.
    """
    made: dict[str, Message] = {}
    for number, (step, document) in enumerate(zip(STEPS, load_documents(FILE), strict=True), 1):
        cli.console.print(f"\n[bold]{number} of {len(STEPS)}: {step.title}[/]")
        cli.console.print(step.purpose)
        chapter = _carried_out(cli, step, _request(cli, document, made))
        made[step.label] = chapter.run
        _show(cli.console, chapter)
        yield chapter


def _request(cli: CliContext, document: Document, made: Mapping[str, Message]) -> RunRequest:
    document.complete(made)
    if document.upload is not None:
        document.set_upload(upload_with_bar(cli, document.upload))
    assert isinstance(document.request, RunRequest)
    return document.request


def _carried_out(cli: CliContext, step: Step, request: RunRequest) -> Chapter:
    line = grpcurl_line(request, program("grpcurl"))
    cli.console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True, highlight=False)
    began = time.monotonic()
    created = create(cli, request)
    killer = WorkerKiller(cli.clients, cli.console) if step.is_disturbed else None
    run, progress = _finished(cli, created, killer)
    seconds = time.monotonic() - began
    return Chapter(step, request, run, progress, step.ask(cli.clients, run), seconds)


def _finished(
    cli: CliContext, created: Run, killer: WorkerKiller | None
) -> tuple[Run, RunProgress]:
    """Follows a run to its end, which must be a good one."""

    def notice(event: event_pb2.Event, progress: RunProgress) -> None:
        if killer is not None:
            killer.notice(event, progress)

    calls = calls_for(cli.clients, created.name)
    run, progress = follow(calls, created.name, cli.console, notice)
    if run.status.state != run_pb2.RUN_STATE_SUCCEEDED:
        print_outcome(run, progress, cli.console)
        raise CliError(f"{run.name} did not succeed; logs are in {cli.home.log_folder}.")
    if killer is not None:
        killer.check()
    return run, progress


def _show(console: Console, chapter: Chapter) -> None:
    """Prints what came of a step, in short: the run's own page has it all."""
    run = chapter.run
    made = f": {result_of(run)}" if result_of(run) else ""
    console.print(f"[bold green]{state_of(run)}[/] in {text.seconds(chapter.seconds)}{made}")
    if isinstance(run, outlier_pb2.OutlierScan):
        found = (each for each in chapter.answers if isinstance(each, outlier_pb2.Anomaly))
        show_anomalies(list(islice(found, _SHOWN_ANOMALIES)), console)
    elif isinstance(run, trainer_pb2.TrainingRun):
        print_trimmed(console, metrics_table(chapter.progress, _SHOWN_EPOCHS))
    elif isinstance(run, pruner_pb2.PruningRun):
        show_points(best_points(run.summary), console, run.summary.metric)
    for sentence in chapter.sentences:
        console.print(f"[bold cyan]=>[/] {escape(sentence)}", soft_wrap=True)

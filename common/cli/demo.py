"""`aimass demo`: the suite at work on real data, with a worker killed in the middle."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console
from rich.markup import escape

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.cli import demo_data, text
from common.cli.apply import create
from common.cli.connection import Clients, local_endpoint
from common.cli.context import CliContext
from common.cli.documents import RunRequest
from common.cli.errors import CliError, CommandInterruptedError
from common.cli.follow import follow, print_outcome
from common.cli.grpcurl import grpcurl_line
from common.cli.progress import RunProgress
from common.cli.run_kinds import Run, calls_for
from common.cli.scan_views import show_anomalies
from common.cli.suite import open_suite, start
from common.cli.upload import download_with_bar, upload_with_bar
from common.local.home import SuiteHome

_WORKERS = 2
_KILL_AFTER_EPOCH = 3
_ACCURACY = "validation/accuracy"
_SHOWN_ANOMALIES = 3
_ANALYSIS_SECONDS, _TUNING_SECONDS, _PRUNING_SECONDS = 15, 15, 60
_ACCEPTED_LOSS = 0.03

_interrupted = threading.Event()


@dataclass(frozen=True)
class Trained:
    """What one run of the demonstration came to.

    Attributes:
        run: The run as it ended.
        progress: The picture its events gave.
        seconds: From Create to the end.
    """

    run: trainer_pb2.TrainingRun
    progress: RunProgress = field(repr=False)
    seconds: float


def run_demo(home: SuiteHome, console: Console, *, keep: bool) -> None:
    """Imports and scans data, trains, finds, prunes models, kills a worker, stops it all.

    Args:
        home: State folder of the suite.
        console: Where to show it.
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
        _show(cli)
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


def _show(cli: CliContext) -> None:
    began = time.monotonic()
    digits, cancer = _import_data(cli)
    _heading(cli.console, "What is odd in breast_cancer, and why")
    _scan(cli, cancer)
    _heading(cli.console, f"A convolutional network on digits, {_WORKERS} workers")
    trained = [_train(cli, _spec(digits, "digits-cnn", "cnn", epochs=10))]
    _heading(cli.console, f"A multi-layer perceptron on breast_cancer, {_WORKERS} workers")
    trained.append(_train(cli, _spec(cancer, "breast-cancer-mlp", "mlp", epochs=20)))
    _heading(cli.console, "What that perceptron goes by, where it is wrong, and what to do")
    analysis = _analyse(cli, trained[-1].run.model_version)
    _heading(cli.console, "The best model of breast_cancer that 15 s find, and the same smaller")
    _prune(cli, _tune(cli, cancer))
    _heading(cli.console, "The same digits again, and one worker is killed in the middle")
    killer = WorkerKiller(cli)
    trained.append(_train(cli, _spec(digits, "digits-cnn", "cnn", epochs=15), killer))
    killer.check()
    _summary(cli, trained)
    cli.console.print(f"All of this took {text.seconds(time.monotonic() - began)}.")
    _next_steps(cli, trained[-1].run.name, analysis)


def _heading(console: Console, title: str) -> None:
    console.print(f"\n[bold]{title}[/]")


def _import_data(cli: CliContext) -> tuple[str, str]:
    folder = cli.home.path / "data"
    folder.mkdir(exist_ok=True)
    _heading(cli.console, "Data: digits as PNG images in class folders, breast_cancer as CSV")
    digits = demo_data.write_digits(folder / "digits.zip")
    cancer = demo_data.write_breast_cancer(folder / "breast_cancer.csv")
    _check_interrupted()
    return (
        _import(cli, digits, dataset_pb2.DatasetImportSpec(dataset="datasets/digits")),
        _import(
            cli,
            cancer,
            dataset_pb2.DatasetImportSpec(
                dataset="datasets/breast-cancer",
                target="diagnosis",
                split=dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.25),
            ),
        ),
    )


def _import(cli: CliContext, path: Path, spec: dataset_pb2.DatasetImportSpec) -> str:
    spec.upload = upload_with_bar(cli, path)
    import_ = dataset_pb2.DatasetImport(spec=spec)
    created = _create(cli, dataset_pb2.CreateDatasetImportRequest(dataset_import=import_))
    run, _ = _finish(cli, created)
    assert isinstance(run, dataset_pb2.DatasetImport)
    return run.dataset_version


def _scan(cli: CliContext, dataset_version: str) -> None:
    spec = outlier_pb2.OutlierScanSpec(dataset_version=dataset_version)
    scan = outlier_pb2.OutlierScan(spec=spec, labels={"made-by": "demo"})
    created = _create(cli, outlier_pb2.CreateOutlierScanRequest(outlier_scan=scan))
    _finish(cli, created)
    request = outlier_pb2.ListAnomaliesRequest(parent=created.name, page_size=_SHOWN_ANOMALIES)
    show_anomalies(cli.clients.outliers.ListAnomalies(request).anomalies, cli.console)


def _spec(dataset_version: str, model: str, kind: str, epochs: int) -> trainer_pb2.TrainingSpec:
    network = network_pb2.NetworkSpec()
    getattr(network, kind).SetInParent()
    return trainer_pb2.TrainingSpec(
        dataset_version=dataset_version,
        model=f"models/{model}",
        network=network,
        epochs=epochs,
        batch_size=64,
        workers=trainer_pb2.WorkerRange(min=1, wanted=_WORKERS, max=_WORKERS),
    )


def _train(
    cli: CliContext, spec: trainer_pb2.TrainingSpec, killer: "WorkerKiller | None" = None
) -> Trained:
    began = time.monotonic()
    run = trainer_pb2.TrainingRun(spec=spec, labels={"made-by": "demo"})
    created = _create(cli, trainer_pb2.CreateTrainingRunRequest(training_run=run))
    ended, progress = _finish(cli, created, killer.notice if killer else _take_no_notice)
    assert isinstance(ended, trainer_pb2.TrainingRun)
    return Trained(ended, progress, time.monotonic() - began)


def _analyse(cli: CliContext, model_version: str) -> str:
    """Looks into a model, and keeps the report. Returns the name of the analysis."""
    spec = analyzer_pb2.AnalysisSpec(model_version=model_version)
    spec.budget.FromSeconds(_ANALYSIS_SECONDS)
    analysis = analyzer_pb2.Analysis(spec=spec, labels={"made-by": "demo"})
    created = _create(cli, analyzer_pb2.CreateAnalysisRequest(analysis=analysis))
    ended, _ = _finish(cli, created)
    assert isinstance(ended, analyzer_pb2.Analysis)
    report = cli.home.path / "report.html"
    download_with_bar(cli, ended.report, report)
    cli.console.print(
        f"Its report is kept, open it in a browser: [bold]{escape(_shown(report))}[/]"
    )
    return ended.name


def _tune(cli: CliContext, dataset_version: str) -> str:
    """Searches for a model. Returns the name of its version."""
    spec = tuner_pb2.TuningSpec(dataset_version=dataset_version, model="models/breast-cancer")
    spec.budget.FromSeconds(_TUNING_SECONDS)
    tuning = tuner_pb2.TuningRun(spec=spec, labels={"made-by": "demo"})
    created = _create(cli, tuner_pb2.CreateTuningRunRequest(tuning_run=tuning))
    ended, _ = _finish(cli, created)
    assert isinstance(ended, tuner_pb2.TuningRun)
    return ended.model_version


def _prune(cli: CliContext, model_version: str) -> None:
    spec = pruner_pb2.PruningSpec(model_version=model_version, max_loss=_ACCEPTED_LOSS)
    spec.budget.FromSeconds(_PRUNING_SECONDS)
    pruning = pruner_pb2.PruningRun(spec=spec, labels={"made-by": "demo"})
    _finish(cli, _create(cli, pruner_pb2.CreatePruningRunRequest(pruning_run=pruning)))


def _create(cli: CliContext, request: RunRequest) -> Run:
    """Creates a run, and shows the call."""
    line = grpcurl_line(request, _binary("grpcurl"))
    cli.console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True, highlight=False)
    return create(cli, request)


def _take_no_notice(event: event_pb2.Event, progress: RunProgress) -> None:
    return


def _finish(
    cli: CliContext,
    created: Run,
    notice: Callable[[event_pb2.Event, RunProgress], None] = _take_no_notice,
) -> tuple[Run, RunProgress]:
    """Follows a run to its end, and shows what came of it.

    Raises:
        CliError: It did not succeed.
    """
    calls = calls_for(cli.clients, created.name)
    ended, progress = follow(calls, created.name, cli.console, notice)
    print_outcome(ended, progress, cli.console)
    if ended.status.state != run_pb2.RUN_STATE_SUCCEEDED:
        raise CliError(f"{ended.name} did not succeed; logs are in {cli.home.log_folder}.")
    return ended, progress


class WorkerKiller:
    """Kills one worker process once its run is well under way."""

    def __init__(self, cli: CliContext) -> None:
        self._cli = cli
        self._killed = 0
        self._changes_before = 0
        self._progress: RunProgress | None = None

    def notice(self, event: event_pb2.Event, progress: RunProgress) -> None:
        """Takes an event of the run."""
        self._progress = progress
        if self._killed or progress.epoch < _KILL_AFTER_EPOCH or progress.ended:
            return
        workers = self._workers()
        if not workers:
            return
        victim = workers[-1]
        self._changes_before = len(progress.changes)
        self._killed = victim.pid
        os.kill(victim.pid, signal.SIGKILL)
        self._cli.console.print(f"  [bold red]kill -9 {victim.pid}[/], a worker of the run")

    def check(self) -> None:
        """Says so if there was nothing to show.

        Raises:
            CliError: The run ended before a worker could be killed, or took no notice of it.
        """
        if not self._killed:
            raise CliError("The run ended before one of its workers could be killed.")
        if self._progress is None or len(self._progress.changes) <= self._changes_before:
            raise CliError("The run took no notice of its dead worker.")

    def _workers(self) -> list[psutil.Process]:
        """Returns the worker processes: an agent's warm process forks them."""
        agents = self._cli.clients.training.ListAgents(trainer_pb2.ListAgentsRequest()).agents
        workers: list[psutil.Process] = []
        for agent in agents:
            try:
                for warm in psutil.Process(agent.pid).children():
                    workers += warm.children()
            except psutil.Error:
                continue
        return workers


def _summary(cli: CliContext, trained: list[Trained]) -> None:
    _heading(cli.console, "In the catalog now")
    rows = []
    for each in trained:
        recoveries = [change.recovery for change in each.progress.changes if change.recovery]
        rows.append(
            (
                each.run.model_version,
                text.number(each.run.metrics.get(_ACCURACY, float("nan"))),
                str(max((change.workers for change in each.progress.changes), default=0)),
                text.seconds(each.seconds),
                ", ".join(text.seconds(each) for each in recoveries) or "-",
            )
        )
    columns = ("model", f">{_ACCURACY}", ">workers", ">took", ">recovered/in")
    cli.print_table(columns, rows)


def _next_steps(cli: CliContext, run: str, analysis: str) -> None:
    aimass = f"{_binary('aimass')} --home {_shown(cli.home.path)}"
    grpcurl = f'{_binary("grpcurl")} -plaintext -H "authorization: Bearer $AIMASS_TOKEN"'
    got = grpcurl_line(trainer_pb2.GetTrainingRunRequest(name=run), _binary("grpcurl"))
    _heading(cli.console, "Keep a suite running and look further")
    lines = (
        f"{aimass} up",
        f'eval "$({aimass} env)"',
        f"{grpcurl} $AIMASS_CATALOG_ADDRESS aimass.catalog.v1.ModelService/ListModels",
        got,
        f"{grpcurl} $AIMASS_TRAINER_ADDRESS describe aimass.trainer.v1.TrainingSpec",
        f"{aimass} analyses show {analysis}",
        f"{aimass} down",
    )
    for line in lines:
        cli.console.print(f"  {escape(line)}", soft_wrap=True)
    cli.console.print()


def _binary(name: str) -> str:
    """Returns the path of a program of this installation."""
    return _shown(Path(sys.executable).parent / name)


def _shown(path: Path) -> str:
    """Returns a path as short as it can be typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

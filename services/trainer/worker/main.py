"""What a forked worker runs: join the world and train, build the model package, save a commit."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import horovod.torch as hvd
import torch
from google.protobuf import json_format
from horovod.common.exceptions import HorovodInternalError

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common import telemetry
from common.artifacts.opening import RUN_PATIENCE, open_store
from common.artifacts.protocol import ObjectStore
from common.artifacts.settings import StoreSettings
from common.data.cache import HostCache
from common.errors import AimassError, UnavailableError
from common.protobuf import from_plain
from services.trainer.domain.job import Job, read_job
from services.trainer.worker.arithmetic import CPU
from services.trainer.worker.course import Course
from services.trainer.worker.engine import DivergedError
from services.trainer.worker.loop import Outcome
from services.trainer.worker.process import (
    EXIT_FINISHED,
    EXIT_PEER_LOST,
    EXIT_TRAINING_FAILED,
    WorkerPlace,
)
from services.trainer.worker.publishing import CheckpointPublisher
from services.trainer.worker.pupil import make_pupil
from services.trainer.worker.reduction.disturbing import DisturbedReducer
from services.trainer.worker.reduction.host import reducer_on_one_host
from services.trainer.worker.reduction.reducer import HorovodReducer, Reducer, SingleReducer
from services.trainer.worker.reporting import ReportHandler, beating
from services.trainer.worker.resume import saved_state
from services.trainer.worker.settings import WorkerSettings
from services.trainer.worker.stages import StagedTraining, Trainee
from services.trainer.worker.state import Snapshot, StagePlace, read_state

_log = logging.getLogger(__name__)
_DIVERGENCE_CURE = "Lower the learning rate, clip gradients, or train in a higher precision."


def warm_up() -> None:
    """Imports what the package build needs; called once before workers are forked."""
    import onnxscript  # noqa: F401, PLC0415 - a second that each build would take

    import services.trainer.worker.own_code.training  # noqa: F401, PLC0415


def main(context: WorkerPlace) -> int:
    """Trains, or builds the package.

    Args:
        context: The worker's place in the world.

    Returns:
        The exit code, see `process`.
    """
    settings = WorkerSettings()
    torch.set_num_threads(settings.agent_threads)
    _set_up_logs(context)
    store = open_store(StoreSettings(), RUN_PATIENCE)
    try:
        with telemetry.span(context.task, context.traceparent, {"rank": context.rank}):
            return _work(context, store, settings)
    finally:
        telemetry.flush()


def _work(context: WorkerPlace, store: ObjectStore, settings: WorkerSettings) -> int:
    try:
        if context.task == "package":
            build(context, store, HostCache(settings.cache_dir.expanduser()))
        elif context.task == "save":
            save(context, store)
        else:
            cache = HostCache(settings.cache_dir.expanduser())
            outcome = train(context, store, cache, _device(context, settings))
            if outcome.performance is not None:
                context.report(agents_pb2.WorkerReport(performance=outcome.performance))
            context.report(agents_pb2.WorkerReport(finished=_finished(outcome)))
    except HorovodInternalError as error:
        _log.info("another worker is gone: %s", error)
        return EXIT_PEER_LOST
    except DivergedError as error:
        return _fail(context, "DIVERGED", f"{error} {_DIVERGENCE_CURE}")
    except UnavailableError:
        raise  # the next world may be luckier
    except AimassError as error:
        return _fail(context, error.reason, error.message)
    return EXIT_FINISHED


def train(
    context: WorkerPlace, store: ObjectStore, cache: HostCache, device: torch.device = CPU
) -> Outcome:
    """Trains from the newest state to the end of the run.

    Args:
        context: The worker's place in the world.
        store: Where job, data and checkpoints are.
        cache: Decoded data of this host.
        device: Where to compute.

    Raises:
        DivergedError: The loss is no longer a number.
        HorovodInternalError: Another worker is gone.
        AimassError: Job, data, parent, teacher or code of the run's own cannot be used.
    """
    with beating(context.progress.beat):
        joining = _Joining(context.size)
        job = read_job(context.job_key, store)
        work = _work_of(context, job, store, cache, joining, device)
    publisher = _publisher(context, job, store)
    if context.rank == 0:
        publisher.start()
    try:
        outcome = work()
    finally:
        publisher.stop()
    if context.rank == 0:
        with beating(context.progress.beat):
            _publish_last(publisher, outcome.uncommitted)
    return outcome


def _work_of(
    context: WorkerPlace,
    job: Job,
    store: ObjectStore,
    cache: HostCache,
    joining: "_Joining",
    device: torch.device,
) -> Callable[[], Outcome]:
    """Returns what trains: the trainer's own way, or code that the run brings."""
    code = job.specification.code
    if code is None or not code.is_script:
        return _begin(context, store, Course.open(job, cache, store), joining, device).run
    # Imported here: it exports models, whose libraries other trainings do without.
    from services.trainer.worker.own_code.training import run_own_training  # noqa: PLC0415

    return partial(run_own_training, context, job, store, cache, joining.wait())


def _begin(
    context: WorkerPlace,
    store: ObjectStore,
    course: Course,
    joining: "_Joining",
    device: torch.device,
) -> StagedTraining:
    """Makes all ready that a new run needs, and goes to where the newest state stands."""
    stage = course.stage(StagePlace())
    pupil = make_pupil(stage.job, store, context.rank)
    world = _world(joining, stage.job, context, device)
    reducer = DisturbedReducer(world, context.progress.disturbance)
    first = Trainee(stage, pupil, context, reducer, device)
    return StagedTraining(context, store, reducer, course, first)


def _world(joining: "_Joining", job: Job, context: WorkerPlace, device: torch.device) -> Reducer:
    """Returns what adds up over the world: memory that all workers share, where they can."""
    reducer = joining.wait()
    if context.size == 1 or device != CPU or not job.specification.communication.may_share_memory:
        return reducer
    on_one_host = reducer_on_one_host(reducer, context.rank, context.size)
    if on_one_host is None:
        return reducer
    # Its background thread would go on to take a twentieth of a core from the steps.
    threading.Thread(target=hvd.shutdown, name="shutdown", daemon=True).start()
    return on_one_host


def _device(context: WorkerPlace, settings: WorkerSettings) -> torch.device:
    """Returns where this worker computes: the workers of a host take its devices in turn."""
    devices = settings.agent_devices
    if not devices:
        return CPU
    device = torch.device(devices[context.local_rank % len(devices)])
    torch.cuda.set_device(device)
    return device


def _publish_last(publisher: CheckpointPublisher, uncommitted: Snapshot | None) -> None:
    """Stores the last state: from here on the package can be built on any host.

    Raises:
        UnavailableError: The store is away, and the host had no room for the last commit either.
    """
    if uncommitted is not None:
        publisher.publish_snapshot(uncommitted)
        return
    try:
        publisher.publish()
    except (UnavailableError, OSError) as error:
        _log.warning("the last commit stays on this host: %s", error)


def build(context: WorkerPlace, store: ObjectStore, cache: HostCache) -> None:
    """Builds the model package from the host's newest state, stores it and reports it.

    Args:
        context: The process's place; it has no world.
        store: Where the package goes.
        cache: Decoded data of this host.
    """
    # Here: onnx and its friends take long to import, and workers that train do without.
    from services.trainer.worker.own_code.models import version_of  # noqa: PLC0415
    from services.trainer.worker.package import build_package  # noqa: PLC0415

    with beating(context.progress.beat):
        job = read_job(context.job_key, store)
        snapshot = Snapshot.from_bytes(saved_state(context, store))
        version = version_of(snapshot)
        if version is None:
            state = read_state(snapshot)
            stage = Course.open(job, cache, store).stage(state.stage)
            version = build_package(stage.job, state, stage.rows, store, context.progress.beat)
    content = json_format.MessageToJson(version, indent=None).encode()
    published = agents_pb2.PackagePublished(model_version=content)
    context.report(agents_pb2.WorkerReport(package=published))


def save(context: WorkerPlace, store: ObjectStore) -> None:
    """Stores the host's newest commit as a checkpoint: the run leaves the host.

    Args:
        context: The process's place; it has no world.
        store: Where the checkpoint goes.
    """
    with beating(context.progress.beat):
        _publisher(context, read_job(context.job_key, store), store).publish()
    context.report(agents_pb2.WorkerReport(finished=agents_pb2.TrainingFinished()))


class _Joining:
    """Joins the world beside the reading of the data: it waits for others most of the time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._join, name="join", daemon=True)
        self._thread.start()

    def wait(self) -> Reducer:
        """Returns when the world is complete."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return HorovodReducer() if self._size > 1 else SingleReducer()

    def _join(self) -> None:
        try:
            if self._size > 1:  # a world of one has nobody to talk to
                hvd.init()
        except BaseException as error:  # raised where the result is waited for
            self._error = error


def _publisher(context: WorkerPlace, job: Job, store: ObjectStore) -> CheckpointPublisher:
    def published(checkpoint: agents_pb2.CheckpointPublished) -> None:
        context.report(agents_pb2.WorkerReport(checkpoint=checkpoint))

    interval = job.specification.checkpoint_interval
    return CheckpointPublisher(store, job.prefix, context.commit_dir, interval, published)


def _finished(outcome: Outcome) -> agents_pb2.TrainingFinished:
    finished = agents_pb2.TrainingFinished(
        step=outcome.step,
        epochs=outcome.epochs,
        best_epoch=outcome.best_epoch,
        metrics=outcome.metrics,
        stopped_early=outcome.stopped_early,
    )
    if outcome.comparison is not None:
        plain = asdict(outcome.comparison)
        finished.outlier_comparison.CopyFrom(from_plain(plain, trainer_pb2.OutlierComparison))
    return finished


def _fail(context: WorkerPlace, reason: str, message: str) -> int:
    failed = agents_pb2.TrainingFailed(reason=reason, message=message)
    context.report(agents_pb2.WorkerReport(failed=failed))
    return EXIT_TRAINING_FAILED


def _set_up_logs(context: WorkerPlace) -> None:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        telemetry.configure("worker")
    # Log lines become events of the run, and nothing else: what is printed becomes one as well.
    handler = ReportHandler(context.report, context.rank)
    text = "%(message)s"
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format=text, force=True)
    for name in ("services", "common"):
        logging.getLogger(name).setLevel(logging.INFO)

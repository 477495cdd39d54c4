"""The arm of trainings: trains networks beside the search, in the same time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.calls.catalog import ask_catalog
from common.calls.trainings import (
    ENDED,
    RemoteTrainer,
    Trainer,
    TrainerError,
    Trainings,
    networks_model,
)
from common.errors import AimassError
from common.runs.owner import RunOwner
from common.scoring.outlier_uses import BASELINE, Use
from services.tuner.convert import use_from_proto, use_to_proto
from services.tuner.domain.problem import Problem
from services.tuner.trainings.opening import Network, opened
from services.tuner.trainings.pacing import LEAST_SECONDS, affordable, training_seconds
from services.tuner.trainings.plans import NetworkPlan

LABEL = "tuning-run"
"""Label of the runs that belong to a search: its id."""

_LOOK_SECONDS = 0.5
_ENDING_SECONDS = 2.0


@dataclass(frozen=True)
class Trained:
    """A network that was trained.

    Attributes:
        plan: What it is.
        epochs: How often it had seen the rows when it was best.
        network: Its estimator.
        model_version: Where it is in the catalog.
        seconds: What it took.
        use: What it made of the marks of an outlier scan.
    """

    plan: NetworkPlan
    epochs: int
    network: Network
    model_version: str
    seconds: float
    use: Use = BASELINE


@dataclass(frozen=True)
class Lesson:
    """What networks are trained on.

    Attributes:
        owner: The search.
        problem: Its rows, with pictures as they are.
        dataset_version: Where the trainer finds them.
        target: Name of the target.
        task: What the trainer makes of it.
        weight_column: See `TrainingSpec`.
        model: The search's model: networks become versions of one named after it.
        workers: Most workers of a training.
        seed: Of all chance.
        plans: What to train, the most promising first.
        end: When everything is to be done, on the monotonic clock.
        scan: Outlier scan whose marks may become weights; empty for none.
    """

    owner: RunOwner[tuner_pb2.TuningRun]
    problem: Problem
    dataset_version: str
    target: str
    task: dataset_pb2.Task.ValueType
    weight_column: str
    model: str
    workers: int
    seed: int
    plans: Sequence[NetworkPlan]
    end: float
    scan: str = ""


@dataclass
class Arm:
    """Trains one network after another until it is told to end.

    Attributes:
        lesson: What it trains on.
        trainer: Who trains.
        found: What was trained, in the order of becoming ready.
        warnings: What went wrong, one sentence each.
        use: What those that begin now make of the scan's marks, as the search has proven it.
    """

    lesson: Lesson
    trainer: Trainer = field(default_factory=RemoteTrainer)
    found: list[Trained] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    use: Use = BASELINE

    def __post_init__(self) -> None:
        """Has not begun."""
        owner = self.lesson.owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trainings", daemon=True)
        self._trainings = Trainings(self.trainer, LABEL, owner.name, owner.run.labels)

    @contextmanager
    def at_work(self) -> Iterator["Arm"]:
        """Works in a thread of its own; at the end nothing of it runs any more."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(_ENDING_SECONDS + _LOOK_SECONDS)
            self._trainings.cancel()
            if not (self.found or self.warnings):
                self._warn("No network was trained in the time that there was: give it more.")

    def wait(self, is_stopped: Callable[[], bool]) -> None:
        """Waits until all is trained, the time is over, or somebody stops it."""
        while self._thread.is_alive() and self._left > 0 and not is_stopped():
            self._thread.join(_LOOK_SECONDS)

    def _work(self) -> None:
        try:
            self._trainings.leave_no_other()
            plans = self._affordable()
            for place, plan in enumerate(plans):
                self._train(plan, time.monotonic() + self._left / (len(plans) - place))
        except TrainerError as error:
            self._warn(f"{error} No networks are trained any more.")
        except AimassError as error:
            self._warn(f"A network cannot be opened: {error.message}")

    @property
    def _left(self) -> float:
        return self.lesson.end - time.monotonic()

    def _affordable(self) -> Sequence[NetworkPlan]:
        """Returns the first plans: as many as there is time for."""
        plans = self.lesson.plans
        if len(plans) < 2:
            return plans
        return plans[: affordable([self._epoch_seconds(each) for each in plans], self._left)]

    def _epoch_seconds(self, plan: NetworkPlan) -> float:
        """Returns what an epoch takes, by the trainer's estimate."""
        spec = self._spec(plan, 1.0)
        spec.ClearField("max_duration")
        return self.trainer.estimate(self._trainings.run(spec)) / spec.epochs

    def _train(self, plan: NetworkPlan, end: float) -> None:
        """Trains a network as long as there is time."""

        def left() -> float:
            return end - time.monotonic()

        if training_seconds(left()) < LEAST_SECONDS:
            if not self.found:
                self._warn("There was no time to train a network.")
        elif self._has_workers(left):
            self._follow(plan, self._trainings.create(self._spec(plan, training_seconds(left()))))

    def _follow(self, plan: NetworkPlan, run: trainer_pb2.TrainingRun) -> None:
        begun = time.monotonic()
        while run.status.state not in ENDED:
            if self._stop.wait(_LOOK_SECONDS):
                return
            run = self.trainer.get(run.name)
        self._trainings.ended()
        self._keep(plan, run, time.monotonic() - begun)

    def _has_workers(self, left: Callable[[], float]) -> bool:
        """Waits for a worker that is free; says so where there is none until the end."""
        while not self._stop.is_set():
            if self.trainer.idle_slots():
                return True
            if training_seconds(left()) < LEAST_SECONDS:
                break
            self._stop.wait(_LOOK_SECONDS)
        if not self._stop.is_set() or not self.found:
            self._warn("No worker of the trainer was free, so that no network was trained.")
        return False

    def _keep(self, plan: NetworkPlan, run: trainer_pb2.TrainingRun, seconds: float) -> None:
        if run.status.state != run_pb2.RUN_STATE_SUCCEEDED:
            why = run.status.error.message or "it was cancelled"
            self._warn(f"The training {run.name} gave no network: {why}")
            return
        name = run.model_version
        version = ask_catalog(lambda catalog: catalog.model_version(name))
        network = opened(version, self.lesson.owner.store, self.lesson.problem)
        use = use_from_proto(run.spec.outliers.use)
        self.found.append(Trained(plan, run.best_epoch, network, name, seconds, use))
        told = ", ".join(f"{key} {value:.4g}" for key, value in sorted(run.metrics.items())[:4])
        words = f"{run.name}: {run.best_epoch} epochs of {plan.family}; {told}"
        self.lesson.owner.log(words, source="arm")

    def _spec(self, plan: NetworkPlan, seconds: float) -> trainer_pb2.TrainingSpec:
        lesson = self.lesson
        spec = plan.spec(seconds)
        spec.dataset_version = lesson.dataset_version
        spec.model = networks_model(lesson.model)
        spec.target = lesson.target
        spec.task = lesson.task
        spec.weight_column = lesson.weight_column
        spec.seed = lesson.seed
        if lesson.scan and self.use != BASELINE:
            spec.outliers.scan = lesson.scan
            spec.outliers.use = use_to_proto(self.use)
        spec.workers.min = spec.workers.wanted = 1
        spec.workers.max = max(lesson.workers, 1)
        spec.workers.wait_timeout.FromSeconds(60)
        return spec

    def _warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

"""From a search under way to the networks that are trained beside it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.calls.trainings import RemoteTrainer
from common.runs.owner import RunOwner
from common.scoring.outlier_uses import BASELINE
from services.tuner.domain.ensemble.joining import (
    Guest,
    guest_loss,
    join,
    joined_estimator,
    judged_rows,
)
from services.tuner.domain.ensemble.pool import Cost
from services.tuner.domain.names import DEEP_IMAGE, TRAINED_KINDS
from services.tuner.domain.problem import Positions, ProblemKind
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.trial_loop import Watch
from services.tuner.domain.search.tuning import Settings, Tuned
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.specification import TuningSpecification
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.loading import Loaded
from services.tuner.trainings.arm import Arm, Lesson, Trained
from services.tuner.trainings.opening import outputs_for
from services.tuner.trainings.plans import plans_for

_TASKS = {ProblemKind.REGRESSION: dataset_pb2.TASK_REGRESSION}
_END_SHARE, _LEAST_END = 0.06, 2.0
_SEARCH_SHARE = 0.45
_FEW_WORDS = "networks are judged on validation rows, and too few have been judged"


@dataclass
class Trainings:
    """What is trained beside a search; perhaps nothing.

    Attributes:
        loaded: What is learned from.
        settings: Of the search.
        arm: Who trains; None where nothing is trained.
    """

    loaded: Loaded
    settings: Settings
    arm: Arm | None = None

    def joined(self, tuned: Tuned) -> Tuned:
        """Returns what was found, with what the networks add to it.

        Args:
            tuned: What the search itself found.
        """
        if self.arm is None or not self.arm.found:
            return tuned
        rows = judged_rows(tuned.library, tuned.ensemble, self.loaded.validation)
        found = join(
            tuned.problem,
            tuned.metric,
            tuned.library,
            tuned.ensemble,
            self._guests(self.arm, tuned, rows),
            rows,
            self.settings.limits,
        )
        if found is None:
            self.arm.warnings.append(f"The networks cannot join: {_FEW_WORDS}.")
            return tuned
        estimator = joined_estimator(self.loaded.problem, tuned.estimator, tuned.ensemble, found)
        return replace(tuned, estimator=estimator, joined=found)

    def search_settings(self) -> Settings:
        """Returns what the search itself may do.

        Pictures are learned best by networks. Where a search would take the processor from them, it
        ends sooner, and they go on alone.
        """
        is_free = len(os.sched_getaffinity(0)) > self.settings.concurrency
        if is_free or not self._learns_pictures:
            return self.settings
        return replace(self.settings, seconds=_SEARCH_SHARE * self.settings.seconds)

    def wait(self, is_stopped: Callable[[], bool]) -> None:
        """Waits for networks of pictures until their time is over, or somebody stops it."""
        if self.arm is not None and self._learns_pictures:
            self.arm.wait(is_stopped)

    def heard(self, watch: Watch) -> Watch:
        """Returns a watch of the search by which networks hear what is proven of outliers' marks.

        Args:
            watch: Is told of each trial, too.
        """

        def told(library: Library, result: TrialResult) -> None:
            if self.arm is not None:
                self.arm.use = library.adopted
            watch(library, result)

        return told

    @property
    def _learns_pictures(self) -> bool:
        plans = () if self.arm is None else self.arm.lesson.plans
        return any(each.family == DEEP_IMAGE for each in plans)

    @property
    def warnings(self) -> list[str]:
        """What went wrong, one sentence each."""
        return [] if self.arm is None else self.arm.warnings

    def _guests(self, arm: Arm, tuned: Tuned, rows: Positions) -> list[Guest]:
        first = max(tuned.library.entries, default=-1) + 1
        made = (self._guest(each, tuned, rows, first + at) for at, each in enumerate(arm.found))
        return [each for each in made if each is not None]

    def _guest(self, trained: Trained, tuned: Tuned, rows: Positions, number: int) -> Guest | None:
        problem, begun = self.loaded.problem, time.monotonic()
        outputs = outputs_for(trained.network, problem, rows)
        if outputs is None:
            return None
        each = (time.monotonic() - begun) / max(len(rows), 1)
        return Guest(
            number=number,
            family=trained.plan.family,
            configuration=_told_settings(trained),
            estimator=trained.network,
            outputs=outputs,
            seconds=trained.seconds,
            cost=Cost(each, float(len(trained.network.content_))),
            loss=guest_loss(problem, tuned.metric, rows, outputs),
            source=trained.model_version,
        )


def _told_settings(trained: Trained) -> Configuration:
    """Returns what people see of a network."""
    marks: Configuration = {} if trained.use == BASELINE else {"outliers": trained.use}
    return {**trained.plan.settings, "epochs": trained.epochs, **marks}


@contextmanager
def trainings(
    owner: RunOwner[tuner_pb2.TuningRun],
    specification: TuningSpecification,
    loaded: Loaded,
    settings: Settings,
) -> Iterator[Trainings]:
    """Has networks trained as long as the context lasts.

    Args:
        owner: The search.
        specification: Its specification, resolved.
        loaded: What it learns from.
        settings: How long it lasts, among others.
    """
    families = [each for each in specification.families if each in TRAINED_KINDS]
    if not families or loaded.problem.kind is ProblemKind.MULTI_LABEL:
        yield Trainings(loaded, settings)
        return
    lesson = _lesson(owner, specification, loaded, settings, families)
    # A trainer that is away may be back before the time is over: the search goes on meanwhile.
    arm = Arm(lesson, RemoteTrainer(until=lesson.end))
    with arm.at_work():
        yield Trainings(loaded, settings, arm)
    for each in arm.warnings:
        owner.log(each, event_pb2.SEVERITY_WARNING, source="arm")


def _lesson(
    owner: RunOwner[tuner_pb2.TuningRun],
    specification: TuningSpecification,
    loaded: Loaded,
    settings: Settings,
    families: list[str],
) -> Lesson:
    problem = loaded.problem
    rows = problem.row_count - len(loaded.validation)
    plans = [each for name in families for each in plans_for(name, problem.columns, rows)]
    end = max(_END_SHARE * settings.seconds, _LEAST_END)
    return Lesson(
        owner=owner,
        problem=problem,
        dataset_version=specification.dataset_version,
        target=specification.targets[0],
        task=_TASKS.get(problem.kind, dataset_pb2.TASK_CLASSIFICATION),
        weight_column=specification.weight_column,
        model=specification.model,
        workers=settings.concurrency,
        seed=specification.seed,
        plans=plans,
        end=time.monotonic() + settings.seconds - end,
        scan="" if specification.outliers is None else specification.outliers.scan,
    )

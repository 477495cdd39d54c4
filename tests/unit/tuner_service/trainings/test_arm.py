"""The arm of trainings: in the time of the search, with a trainer that is full, slow or away."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.data.schema import Column, ColumnType
from common.scoring.kinds import ProblemKind
from common.trainings import TrainerError, networks_model
from services.tuner.domain.names import DEEP_IMAGE, DEEP_TABLE
from services.tuner.domain.problem import Problem
from services.tuner.trainings import arm as arm_module
from services.tuner.trainings.arm import Arm, Lesson
from services.tuner.trainings.pacing import Course, Watchman, affordable
from services.tuner.trainings.plans import plans_for

ENOUGH = 60.0


@dataclass
class FakeTrainer:
    """Trains at once, unless it is told otherwise."""

    slots: int = 1
    error: str = ""
    state: Any = run_pb2.RUN_STATE_SUCCEEDED
    left_over: list[str] = field(default_factory=list)
    created: list[trainer_pb2.TrainingRun] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def idle_slots(self) -> int:
        if self.error:
            raise TrainerError(self.error)
        return self.slots

    def runs(self, filtered: str) -> list[trainer_pb2.TrainingRun]:
        assert filtered == "labels.tuning-run=t"
        running = run_pb2.RunStatus(state=run_pb2.RUN_STATE_RUNNING)
        return [trainer_pb2.TrainingRun(name=each, status=running) for each in self.left_over]

    def estimate(self, run: trainer_pb2.TrainingRun) -> float:
        return 0.1 * run.spec.epochs

    def create(
        self, run: trainer_pb2.TrainingRun, name: str, request_id: str
    ) -> trainer_pb2.TrainingRun:
        made = trainer_pb2.TrainingRun(name=f"trainingRuns/{name}", spec=run.spec)
        made.labels.update(run.labels)
        made.status.state = self.state
        made.model_version = f"models/m/versions/{len(self.created) + 1}"
        self.created.append(made)
        return made

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        return self.created[-1]

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)


def problem() -> Problem:
    columns = (Column("x", ColumnType.NUMERIC), Column("note", ColumnType.TEXT))
    features = pd.DataFrame({"x": np.zeros(4), "note": ["a"] * 4})
    return Problem(ProblemKind.BINARY, columns, features, np.array([0, 1, 0, 1]), ("a", "b"))


def lesson(seconds: float = ENOUGH) -> Lesson:
    owner: Any = SimpleNamespace(
        name="tuningRuns/t",
        run=tuner_pb2.TuningRun(labels={"team": "vision"}),
        store=None,
        log=lambda *_, **__: None,
    )
    return Lesson(
        owner=owner,
        problem=problem(),
        dataset_version="datasets/d/versions/1",
        target="y",
        task=dataset_pb2.TASK_CLASSIFICATION,
        weight_column="",
        model="models/m",
        workers=2,
        seed=3,
        plans=plans_for(DEEP_TABLE, problem().columns, 4),
        end=time.monotonic() + seconds,
    )


@pytest.fixture(autouse=True)
def opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks need not be opened here."""
    monkeypatch.setattr(arm_module, "ask_catalog", lambda question: None)
    monkeypatch.setattr(arm_module, "opened", lambda version, store, problem: object())


def worked(made: Arm, until: Callable[[], bool]) -> None:
    """Has an arm work until something is so."""
    with made.at_work():
        end = time.monotonic() + 10
        while not until() and time.monotonic() < end:
            time.sleep(0.01)


def test_each_training_goes_on_from_the_one_before() -> None:
    trainer = FakeTrainer()
    made = Arm(lesson(), trainer)
    worked(made, lambda: len(made.found) >= 2)
    first, second = trainer.created[:2]
    assert first.spec.parent_model_version == ""
    assert second.spec.parent_model_version == first.model_version
    assert second.spec.optimizer.learning_rate < first.spec.optimizer.learning_rate
    assert list(first.spec.features) == ["x"] and first.spec.model == "models/m-networks"
    assert dict(first.labels) == {"team": "vision", "tuning-run": "t"}
    assert (first.spec.workers.wanted, first.spec.workers.max, first.spec.seed) == (1, 2, 3)
    assert made.found[1].epochs == first.spec.epochs + second.spec.epochs
    assert made.warnings == []


def test_what_an_earlier_attempt_left_running_is_cancelled() -> None:
    trainer = FakeTrainer(left_over=["trainingRuns/t-net-1"])
    made = Arm(lesson(), trainer)
    worked(made, lambda: bool(made.found))
    assert trainer.cancelled[0] == "trainingRuns/t-net-1"
    assert trainer.created[0].name == "trainingRuns/t-net-2"


def test_what_runs_at_the_end_is_cancelled() -> None:
    trainer = FakeTrainer(state=run_pb2.RUN_STATE_RUNNING)
    made = Arm(lesson(), trainer)
    worked(made, lambda: bool(trainer.created))
    assert trainer.cancelled == [trainer.created[0].name] and made.found == []
    assert "give it more" in " ".join(made.warnings)


@pytest.mark.parametrize(
    ("trainer", "seconds", "words"),
    [
        (FakeTrainer(error="The trainer cannot be reached."), ENOUGH, "cannot be reached"),
        (FakeTrainer(), 7.0, "no time"),
        (FakeTrainer(slots=0), 8.7, "No worker"),
        (FakeTrainer(state=run_pb2.RUN_STATE_FAILED), ENOUGH, "gave no network"),
    ],
)
def test_a_trainer_that_cannot_costs_the_arm_alone(
    trainer: FakeTrainer, seconds: float, words: str
) -> None:
    made = Arm(lesson(seconds), trainer)
    worked(made, lambda: bool(made.warnings))
    assert made.found == []
    assert words in " ".join(made.warnings)


def test_pictures_get_networks_by_their_size() -> None:
    for side, layers in ((16, [2]), (32, [2, 3])):
        columns = [Column("photo", ColumnType.IMAGE, shape=(3, side, side))]
        *plain, last = plans_for(DEEP_IMAGE, columns, 1000)
        assert [len(each.network.cnn.blocks) for each in plain] == layers
        assert last.network.HasField("resnet") and last.features == ("photo",)


def test_names_of_models_stay_within_their_length() -> None:
    assert networks_model("models/iris") == "models/iris-networks"
    assert len(networks_model(f"models/{'a' * 63}")) == len("models/") + 63


def test_a_course_learns_how_long_epochs_take() -> None:
    course = Course.estimated(1.0, 10)
    first = course.epochs(60.0, is_last=False)
    assert 0 < first * course.epoch_seconds < 30
    course.learn(20.0, 3)
    assert course.epoch_seconds == 5.0 and course.done == 3
    assert course.epochs(60.0, is_last=True) == 8
    assert course.epochs(6.0, is_last=True) == 0


def test_only_as_many_networks_are_trained_as_learn_enough() -> None:
    """Of slow ones the first alone, which takes all the time that there is."""
    quick, slow = Course(epoch_seconds=0.5), Course(epoch_seconds=4.0)
    assert affordable([quick, slow], 60.0) == [quick]
    assert affordable([quick, slow], 300.0) == [quick, slow]
    assert affordable([slow, slow], 10.0) == [slow]
    assert affordable([], 10.0) == []


def test_a_training_that_will_not_be_done_is_seen_early() -> None:
    now = [0.0]
    watchman = Watchman(lambda: 20 - now[0], lambda: now[0])
    assert not watchman.is_late(0.01)
    now[0] = 10.0
    assert watchman.is_late(0.2)
    quick = Watchman(lambda: 20 - now[0], lambda: now[0])
    assert not quick.is_late(0.1)
    now[0] = 11.0
    assert not quick.is_late(0.6)

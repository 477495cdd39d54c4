"""The arm of trainings: in the time of the search, with a trainer that is full, slow or away."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.calls.trainings import networks_model
from common.data.schema import Column, ColumnType
from common.scoring.kinds import ProblemKind
from services.tuner.domain.names import DEEP_IMAGE, DEEP_TABLE, DEEP_TEXT
from services.tuner.domain.problem import Problem
from services.tuner.trainings import arm as arm_module
from services.tuner.trainings.arm import Arm, Lesson
from services.tuner.trainings.pacing import affordable
from services.tuner.trainings.plans import plans_for
from tests.support.fake_trainer import FakeTrainer

ENOUGH = 60.0


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
        plans=plans_for(DEEP_TABLE, problem().columns, 4)[:1],
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


def test_a_network_is_trained_as_long_as_there_is_time() -> None:
    """One training with a bound, whose rate falls to 0 within it."""
    trainer = FakeTrainer()
    made = Arm(lesson(), trainer)
    worked(made, lambda: bool(made.found))
    [run] = trainer.created
    assert ENOUGH / 2 < run.spec.max_duration.seconds < ENOUGH
    assert run.spec.schedule.cosine_decay
    assert list(run.spec.features) == ["x"] and run.spec.model == "models/m-networks"
    assert dict(run.labels) == {"team": "vision", "tuning-run": "t"}
    assert (run.spec.workers.wanted, run.spec.workers.max, run.spec.seed) == (1, 2, 3)
    assert made.found[0].epochs == run.best_epoch
    assert made.warnings == []


def test_who_waits_waits_for_what_is_trained() -> None:
    """Protects networks that need longer than the search beside them."""
    made = Arm(lesson(), FakeTrainer())
    with made.at_work():
        made.wait(lambda: False)
        assert len(made.found) == 1


def test_who_is_stopped_does_not_wait() -> None:
    made = Arm(lesson(), FakeTrainer(state=run_pb2.RUN_STATE_RUNNING))
    with made.at_work():
        made.wait(lambda: True)
    assert made.found == []


def test_what_an_earlier_attempt_left_running_is_cancelled() -> None:
    trainer = FakeTrainer(left_over=["trainingRuns/t-net-1"])
    made = Arm(lesson(), trainer)
    worked(made, lambda: bool(made.found))
    assert trainer.filters == ["labels.tuning-run=t"]
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
        (FakeTrainer(slots=0), 10.0, "No worker"),
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
    """Augmented ones come later: in a short time they are worse."""
    for side, layers in ((16, [2, 2]), (32, [2, 3, 2])):
        columns = [Column("photo", ColumnType.IMAGE, shape=(3, side, side))]
        *plain, last = plans_for(DEEP_IMAGE, columns, 1000)
        assert [len(each.network.cnn.blocks) for each in plain] == layers
        is_augmented = [each.spec(9).augmentation.auto for each in (*plain, last)]
        assert is_augmented == [*[False] * (len(plain) - 1), True, False]
        assert last.network.HasField("resnet") and last.features == ("photo",)


def test_tables_get_a_network_with_shortcuts_after_the_plain_one() -> None:
    plain, residual = plans_for(DEEP_TABLE, problem().columns, 4)
    assert plain.network.HasField("mlp") and residual.network.HasField("residual_mlp")
    assert plain.features == residual.features == ("x",)


def test_texts_get_the_small_network_first() -> None:
    """Both read text and table; few rows come more often; no epoch is chosen by validation rows."""
    columns = problem().columns
    for rows, epochs in ((100, 40), (500, 21), (3000, 8), (100_000, 8)):
        bag, encoder = plans_for(DEEP_TEXT, columns, rows)
        assert bag.network.HasField("embedding_bag") and bag.features == ("x", "note")
        assert encoder.network.HasField("text_transformer") and encoder.epochs == 2 * epochs
        spec = bag.spec(10)
        assert (spec.epochs, spec.max_duration.seconds) == (epochs, 10)
        assert spec.augmentation.auto and spec.schedule.cosine_decay
        assert spec.monitor == trainer_pb2.MONITORED_METRIC_NONE


def test_names_of_models_stay_within_their_length() -> None:
    assert networks_model("models/iris") == "models/iris-networks"
    assert len(networks_model(f"models/{'a' * 63}")) == len("models/") + 63


def test_only_as_many_networks_are_trained_as_learn_enough() -> None:
    """Of slow ones the first alone, which takes all the time that there is."""
    assert affordable([0.2, 2.0], 60.0) == 1
    assert affordable([0.2, 2.0], 300.0) == 2
    assert affordable([2.0, 2.0], 10.0) == 1
    assert affordable([], 10.0) == 0

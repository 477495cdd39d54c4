"""Classes that are drawn equally often."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.catalog.v1 import dataset_pb2
from services.trainer.domain.objective import Objective, make_objectives
from services.trainer.domain.sampling import EvenSampler, rank_slice
from services.trainer.worker.course import Course
from services.trainer.worker.state import StagePlace
from tests.support.training import Array, Desk, split_parts
from tests.unit.trainer.test_training import history_of, train_until

CLASSES = st.lists(st.sampled_from([0, 1, 1, 1, 3, 3]), min_size=1, max_size=200).map(np.array)


@given(classes=CLASSES, batch=st.integers(1, 40), size=st.integers(1, 5))
def test_classes_come_equally_often_and_so_do_rows_of_a_class(
    classes: np.ndarray, batch: int, size: int
) -> None:
    """Protects the draw, whatever the world: counts differ by one, in epochs and in batches."""
    sampler = EvenSampler(classes, batch, seed=1)
    drawn: list[int] = []
    for step in range(-(-len(classes) // batch)):
        positions = sampler.batch(2, step)
        parts = [positions[rank_slice(len(positions), rank, size)] for rank in range(size)]
        drawn += np.concatenate(parts).tolist()
        of_batch = np.bincount(classes[positions], minlength=4)[np.unique(classes)]
        assert of_batch.max() - of_batch.min() <= 2, "a batch may cut two rounds"
    assert len(drawn) == len(classes)
    of_epoch = np.bincount(classes[drawn], minlength=4)[np.unique(classes)]
    assert of_epoch.max() - of_epoch.min() <= 1
    times = np.bincount(drawn, minlength=len(classes))
    for each in np.unique(classes):
        assert np.ptp(times[classes == each]) <= 1


def test_draws_depend_on_seed_and_epoch_and_nothing_else() -> None:
    """Protects the resumed curve: a later process draws the same batches, in any order."""
    classes = np.arange(100) % 10 // 9
    one, other = (EvenSampler(classes, 10, seed=7) for _ in range(2))
    one.batch(0, 3)
    first = one.batch(2, 4)
    assert np.array_equal(first, other.batch(2, 4))
    assert not np.array_equal(first, one.batch(3, 4))
    assert not np.array_equal(first, EvenSampler(classes, 10, seed=8).batch(2, 4))


def test_over_epochs_all_rows_of_a_frequent_class_are_seen() -> None:
    """Protects data from being left out for good."""
    classes = np.arange(100) % 10 // 9
    sampler = EvenSampler(classes, 100, seed=0)
    seen = np.unique(np.concatenate([sampler.batch(epoch, 0) for epoch in range(20)]))
    assert len(seen) == 100


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def imbalanced(desk: Desk) -> dataset_pb2.DatasetVersion:
    """Two overlapping classes, one of them of every tenth row; weights of rows."""
    generator = np.random.default_rng(0)
    rare = generator.random(600) < 0.1
    x = generator.normal(size=(600, 2)) + 1.2 * rare[:, None]
    columns: dict[str, Array] = {
        "a": x[:, 0],
        "b": x[:, 1],
        "w": np.where(rare, 2.0, 1.0) * generator.uniform(0.5, 2, 600),
        "y": np.where(rare, "rare", "usual").astype(object),
    }
    return desk.dataset(columns, split_parts(600), "y")


SPEC = {
    "network": {"linear": {}},
    "epochs": 6,
    "batch_size": 32,
    "weight_column": "w",
    "loss": {"balanced_sampling": True},
}


def test_what_is_measured_is_what_drawing_makes_small(desk: Desk) -> None:
    """Protects early stopping: on rows as they are the objective is that of the draw.

    Weights of rows, which are larger in the rare class, and of classes count too.
    """
    loss = {"class_weights": {"rare": 3.0}, "balanced_sampling": True}
    job = desk.job(imbalanced(desk), {**SPEC, "loss": loss})
    assert job.specification.monitor == "objective"
    rows = Course.open(job, desk.cache, desk.store).stage(StagePlace()).rows
    objectives = make_objectives(
        job.preprocessing.target, job.specification.loss, rows.class_shares
    )

    def measure(objective: Objective, numbers: np.ndarray) -> dict[str, float]:
        batch = rows.batch(numbers)
        output = batch.inputs[0][:, :2]
        losses = objective.losses(output, batch.target)
        sums = objective.add_up(output, losses, batch.target, batch.weight)
        return objective.metrics(sums.tolist())

    sampler = EvenSampler(rows.training_classes(), len(rows.training), seed=0)
    drawn = np.concatenate([rows.training[sampler.batch(epoch, 0)] for epoch in range(200)])
    found, expected = (
        measure(objectives.measuring, rows.training),
        measure(objectives.learning, drawn),
    )
    assert found["objective"] == pytest.approx(expected["objective"], rel=0.01)
    assert found["loss"] != pytest.approx(expected["loss"], rel=0.05)


def test_balanced_draws_find_the_rare_class(desk: Desk) -> None:
    """Protects the use of it: overall accuracy is paid for the rare class."""
    data = imbalanced(desk)
    even = desk.job(data, {**SPEC, "epochs": 15}, run="even")
    plain = desk.job(data, {**SPEC, "epochs": 15, "loss": {}}, run="plain")
    found, other = desk.train(even).metrics, desk.train(plain).metrics
    assert found["validation/accuracy"] < other["validation/accuracy"]
    assert found["validation/objective"] > 0
    assert "validation/objective" in desk.package(even).metrics


def test_a_killed_run_goes_on_with_the_same_draws(desk: Desk) -> None:
    """Protects the resumed curve, killed in and between epochs."""
    data = imbalanced(desk)
    spec = {**SPEC, "epochs": 4, "commit_steps": 4}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (9, 21, 46):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)

"""Rows that are changed as workers draw them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import Task, TimeSeries
from common.testing.datasets import text_array
from services.trainer.domain.job import Job
from services.trainer.worker.batches import Batches
from services.trainer.worker.course import Course
from services.trainer.worker.data import Batch, Examples
from services.trainer.worker.state import StagePlace
from tests.support.training import Array, Desk, split_parts
from tests.unit.trainer.test_training import history_of, train_until

ROWS = 150
EVERY_TABLE_KIND: list[Mapping[str, object]] = [
    {"interpolation": {}},
    {"noise": {}},
    {"category_dropout": {}, "probability": 0.5},
    {"mixup": {"alpha": 1.0}},
]
IMAGE_KINDS = ("flip", "crop", "affine", "erasing", "rand_augment", "mixup", "cut_mix")
SERIES_KINDS = ("jitter", "scaling", "time_warp", "window_slice", "permutation")
EVERY_SERIES_KIND: list[Mapping[str, object]] = [
    {kind: {}, "probability": 0.7} for kind in SERIES_KINDS
]
EVERY_TEXT_KIND: list[Mapping[str, object]] = [
    {"character_noise": {}, "probability": 0.7},
    {"word_swap": {}},
    {"noise": {}},
    {"word_deletion": {}},
    {"synonyms": {"words": {"singer": {"words": ["bard", "crooner"]}}}},
]
EVERY_IMAGE_KIND: list[Mapping[str, object]] = [
    {kind: {}, "probability": 0.7} for kind in IMAGE_KINDS
]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def table(desk: Desk, task: Task = Task.CLASSIFICATION) -> dataset_pb2.DatasetVersion:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 2))
    total = x.sum(axis=1)
    labels = np.array(["low", "middle", "high"], object)[np.digitize(total, [-0.5, 0.5])]
    columns: dict[str, Array] = {
        "a": x[:, 0],
        "b": x[:, 1],
        "c": np.array(["p", "q", "r"], object)[generator.integers(0, 3, ROWS)],
        "w": np.where(generator.random(ROWS) < 0.2, 0.0, 1.0),
        "y": labels if task is Task.CLASSIFICATION else total,
    }
    return desk.dataset(columns, split_parts(ROWS), "y", task)


def pictures(desk: Desk) -> dataset_pb2.DatasetVersion:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 2, ROWS)
    values = generator.integers(0, 100, (ROWS, 1, 10, 10)) + 150 * codes[:, None, None, None]
    columns: dict[str, Array] = {
        "picture": values.astype(np.uint8),
        "y": np.array(["dark", "light"], object)[codes],
    }
    return desk.dataset(columns, split_parts(ROWS), "y")


def questions(desk: Desk) -> dataset_pb2.DatasetVersion:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 2, ROWS)
    words = np.array(["who is the singer", "where is the river,"])[codes]
    texts = [f"{word} no {row}" + " again" * (row % 9) for row, word in enumerate(words)]
    columns: dict[str, Array] = {
        "question": text_array([None, *texts[1:]]),
        "size": generator.normal(size=ROWS),
        "y": np.array(["person", "place"], object)[codes],
    }
    return desk.dataset(columns, split_parts(ROWS), "y")


def series(desk: Desk) -> dataset_pb2.DatasetVersion:
    steps = np.arange(240)
    columns: dict[str, Array] = {
        "time": np.datetime64("2024-01-01T00", "us") + steps * np.timedelta64(1, "h"),
        "value": np.sin(2 * np.pi * steps / 24) + np.random.default_rng(0).normal(size=240),
    }
    parts = np.repeat(np.array([0, 1, 2], np.uint8), [192, 24, 24])
    return desk.series(columns, parts, "value", TimeSeries("time", "", (), "h", 2))


def case_of(
    desk: Desk, kind: str
) -> tuple[dataset_pb2.DatasetVersion, Sequence[Mapping[str, object]]]:
    """Returns data of a kind with all policies that fit them."""
    if kind == "images":
        return pictures(desk), EVERY_IMAGE_KIND
    if kind == "series":
        return series(desk), EVERY_SERIES_KIND
    if kind == "texts":
        return questions(desk), EVERY_TEXT_KIND
    return table(
        desk, Task.REGRESSION if kind == "values" else Task.CLASSIFICATION
    ), EVERY_TABLE_KIND


def rows_of(desk: Desk, job: Job) -> Examples:
    return Course.open(job, desk.cache, desk.store).stage(StagePlace()).rows


def drawn(desk: Desk, job: Job, number: int, size: int = 1, pieces: int = 1) -> list[Tensor]:
    """Returns inputs and target of a step, from all workers."""
    optimizer = job.specification.optimizer.model_copy(update={"accumulation_steps": pieces})
    specification = job.specification.model_copy(update={"optimizer": optimizer})
    found: list[Batch] = []
    for rank in range(size):
        share = Batches(rows_of(desk, job), specification, rank, size).take(number)
        found += list(share.batches())
    columns = zip(*[(*batch.inputs, batch.target) for batch in found], strict=True)
    return [_joined(parts) for parts in columns]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Returns all rows; tokens of workers differ in how much padding is left."""
    if parts[0].dim() != 2:
        return torch.cat(list(parts))
    width = max(part.shape[1] for part in parts)
    return torch.cat([functional.pad(part, (0, width - part.shape[1])) for part in parts])


def spec(policies: Sequence[Mapping[str, object]], **more: object) -> Mapping[str, object]:
    return {"batch_size": 32, "epochs": 3, "augmentation": {"policies": policies}, **more}


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["table", "values", "images", "texts", "series"])
def test_rows_are_the_same_whatever_the_number_of_workers(desk: Desk, kind: str) -> None:
    """Protects elasticity: one worker, three, and micro-batches draw the same rows and partners."""
    data, policies = case_of(desk, kind)
    job = desk.job(data, spec(policies))
    for number in (0, 3, 7):
        expected = drawn(desk, job, number)
        assert_same(drawn(desk, job, number, size=3), expected)
        assert_same(drawn(desk, job, number, size=2, pieces=3), expected)


def test_rows_change_with_epoch_and_seed_and_with_each_draw(desk: Desk) -> None:
    """Protects variety: rare rows that come often in an epoch look different each time."""
    data = table(desk)
    loss = {"balanced_sampling": True}
    jobs = [
        desk.job(
            data, spec([{"noise": {}}], batch_size=1_000, loss=loss, seed=seed), run=f"r{seed}"
        )
        for seed in (0, 1)
    ]
    first, second = (drawn(desk, jobs[0], number)[0] for number in (0, 1))
    other = drawn(desk, jobs[1], 0)[0]
    for one, two in ((first, second), (first, other)):
        shared = (one[:, None] == two[None]).all(dim=2)
        assert not bool(shared.any())
    assert len(np.unique(first.numpy(), axis=0)) == len(first)
    assert_same([drawn(desk, jobs[0], 0)[0]], [first])


def test_without_policies_of_a_type_rows_are_what_they_were(desk: Desk) -> None:
    """Protects rows that the probability leaves out, and all other columns."""
    data = table(desk)
    plain = drawn(desk, desk.job(data, {"batch_size": 32}, run="plain"), 2)
    changed = drawn(desk, desk.job(data, spec([{"noise": {}, "probability": 0.3}])), 2)
    is_same = (plain[0] == changed[0]).all(dim=1)
    assert 0.4 < float(is_same.float().mean()) < 0.95
    assert_same(changed[1:], plain[1:])


def test_blends_have_targets_between_those_of_rows_that_weigh(desk: Desk) -> None:
    """Protects labels: shares of two classes, and values between two."""
    job = desk.job(table(desk), spec([{"mixup": {"alpha": 1.0}}], weight_column="w"))
    target = drawn(desk, job, 0)[-1]
    assert target.shape[1] == 3
    torch.testing.assert_close(target.sum(dim=1), torch.ones(len(target)))
    assert 0 < int((target > 0).sum(dim=1).max()) <= 2
    values = desk.job(table(desk, Task.REGRESSION), spec([{"mixup": {}}]), run="values")
    assert drawn(desk, values, 0)[-1].dim() == 1


def test_rows_between_two_have_the_class_of_both(desk: Desk) -> None:
    """Protects SMOTE's labels: targets stay, numbers move, and stay among those of the class."""
    data = table(desk)
    plain = drawn(desk, desk.job(data, {"batch_size": 32}, run="plain"), 1)
    moved = drawn(desk, desk.job(data, spec([{"interpolation": {}}])), 1)
    assert_same(moved[-1:], plain[-1:])
    distance = (moved[0] - plain[0]).norm(dim=1)
    assert float((distance > 0).float().mean()) > 0.9 and float(distance.median()) < 1


@pytest.mark.parametrize("kind", ["table", "values", "images", "texts", "series"])
def test_a_killed_run_goes_on_with_the_same_rows(desk: Desk, kind: str) -> None:
    """Protects the resumed curve, killed in and between epochs; and two runs that are equal."""
    data, policies = case_of(desk, kind)
    wanted = spec(policies, commit_steps=2)
    undisturbed, disturbed = (desk.job(data, wanted, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (3, 8):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_only_training_rows_are_changed(desk: Desk) -> None:
    """Protects what is measured: with a learning rate of next to nothing validation is the same."""
    data = pictures(desk)
    still = {"optimizer": {"learning_rate": 1e-9}, "network": {"cnn": {"batch_norm": False}}}
    plain = desk.job(data, {"batch_size": 32, "epochs": 1, **still}, run="plain")
    changed = desk.job(data, spec(EVERY_IMAGE_KIND, **{**still, "epochs": 1}), run="changed")
    one, other = (desk.train(job).metrics for job in (plain, changed))
    assert one["validation/loss"] == pytest.approx(other["validation/loss"], rel=1e-4)
    assert one["train/loss"] != pytest.approx(other["train/loss"], rel=1e-4)


def test_texts_change_as_they_are_read_from_their_tokens(desk: Desk) -> None:
    """Protects tokens: those of rows that are left alone stay, and others are of the new text."""
    data = questions(desk)
    plain = drawn(desk, desk.job(data, {"batch_size": 32}, run="plain"), 2)
    still = {"synonyms": {"words": {"nothing": {"words": ["something"]}}}}
    assert_same(drawn(desk, desk.job(data, spec([still]), run="still"), 2), plain)
    job = desk.job(data, spec([{"word_deletion": {"rate": 0.9}}]))
    shorter = drawn(desk, job, 2)
    tokens = job.specification.network
    assert tokens is not None and tokens.input.names == ("numeric", "tokens")
    assert int((shorter[1] > 0).sum()) < 0.6 * int((plain[1] > 0).sum())
    assert int((shorter[1] > 0).sum(dim=1).min()) >= 1

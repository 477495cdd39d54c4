"""Steps in micro-batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import SplitCounts, Task
from services.trainer.domain.estimate import estimate
from services.trainer.worker.batches import Batches
from services.trainer.worker.course import Course
from services.trainer.worker.data import Batch, TrainingRows
from services.trainer.worker.state import Snapshot, StagePlace
from tests.support.training import Desk, split_parts
from tests.unit.trainer.test_resolution import TABLE, resolve
from tests.unit.trainer.test_training import (
    MIXED,
    history_of,
    mixed_data,
    train_until,
    uniform_columns,
)

SPEC = {
    "network": {"mlp": {"hidden_widths": [16]}},
    "epochs": 4,
    "batch_size": 29,
    "weight_column": "w",
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def data_of(desk: Desk) -> dataset_pb2.DatasetVersion:
    columns = {"w": np.random.default_rng(2).uniform(0, 2, 120), **uniform_columns(120)}
    return desk.dataset(columns, split_parts(120), "y", Task.REGRESSION)


def in_pieces(count: int) -> dict[str, object]:
    optimizer = {"learning_rate": 0.01, "clip_norm": 1.0, "accumulation_steps": count}
    return {**SPEC, "optimizer": optimizer}


@pytest.mark.parametrize("count", [3, 40])
def test_micro_batches_train_as_the_whole_batch_does(desk: Desk, count: int) -> None:
    """Protects the global batch: uneven pieces, weights, the short last batch, few rows."""
    data = data_of(desk)
    whole, cut = (desk.job(data, in_pieces(each), run=f"in-{each}") for each in (1, count))
    desk.train(whole)
    desk.train(cut)
    np.testing.assert_allclose(history_of(desk, cut), history_of(desk, whole), rtol=1e-4)
    weights = []
    for job in (whole, cut):
        content = (desk.context(job).commit_dir / "commit.safetensors").read_bytes()
        weights.append(Snapshot.from_bytes(content).tensors["parameters"])
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


def test_a_killed_run_in_micro_batches_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects the resumed curve with batch norm and dropout, which see micro-batches."""
    data = mixed_data(desk)
    optimizer = {"kind": "adamw", "learning_rate": 0.01, "accumulation_steps": 3}
    spec = {**MIXED, "optimizer": optimizer, "commit_steps": 4}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (6, 14):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_only_one_micro_batch_is_gathered_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects memory: reading ahead gathers a micro-batch, not the rows of the step."""
    job = desk.job(data_of(desk), in_pieces(4))
    rows = Course.open(job, desk.cache, desk.store).stage(StagePlace()).rows
    sizes: list[int] = []
    gather = TrainingRows.batch

    def batch(self: TrainingRows, numbers: np.ndarray) -> Batch:
        sizes.append(len(numbers))
        return gather(self, numbers)

    monkeypatch.setattr(TrainingRows, "batch", batch)
    batches = Batches(rows, job.specification, rank=0, size=1)
    batches.read_ahead(0)
    assert sizes == [7]
    share = batches.take(0)
    assert [len(each.target) for each in share.batches()] == sizes == [7, 7, 7, 8]
    assert (share.size, share.total) == (29, 29)


def test_the_estimate_needs_less_memory_for_micro_batches() -> None:
    """Protects the reason to have them."""
    large = {**TABLE, "batch_size": 65_536, "network": {"mlp": {"hidden_widths": [512]}}}
    counts = SplitCounts(train=100_000, validation=10)
    whole = estimate(resolve(large), counts)
    cut = estimate(resolve({**large, "optimizer": {"accumulation_steps": 64}}), counts)
    assert cut.worker_memory_bytes < 0.7 * whole.worker_memory_bytes
    assert cut.seconds > whole.seconds
    assert cut.steps == whole.steps

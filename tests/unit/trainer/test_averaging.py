"""Moving averages of weights."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from common.data.schema import SplitCounts
from common.models.store import read_part
from services.trainer.domain.estimate import estimate
from services.trainer.worker.averaging import WeightAverage
from services.trainer.worker.flat import FlatNetwork
from services.trainer.worker.state import Snapshot
from tests.support.training import Desk
from tests.unit.trainer.test_resolution import TABLE, resolve
from tests.unit.trainer.test_training import MIXED, history_of, mixed_data, train_until

OPTIMIZER = {"kind": "adamw", "learning_rate": 0.01, "ema_decay": 0.95}
AVERAGED = {**MIXED, "optimizer": OPTIMIZER, "monitor": "none"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def commit_of(desk: Desk, run: str) -> Snapshot:
    path = desk.root / "commits" / "trainingRuns" / run / "commit.safetensors"
    return Snapshot.from_bytes(path.read_bytes())


def test_an_average_follows_the_weights_and_is_quick_at_first() -> None:
    """Protects the formula: decay at most (1 + step) / (10 + step), of batch norm's buffers too."""
    flat = FlatNetwork(nn.BatchNorm1d(1), 0)
    average = WeightAverage(0.5, flat)
    flat.take(torch.tensor([3.0, 5.0]), torch.tensor([7.0, 1.0]))
    average.update(1)
    keep = 2 / 11
    torch.testing.assert_close(average.parameters, torch.tensor([3 - 2 * keep, 5 - 5 * keep]))
    torch.testing.assert_close(average.buffers, torch.tensor([7 - 7 * keep, 1.0]))
    before = average.parameters.clone()
    average.update(1000)
    torch.testing.assert_close(average.parameters, (before + torch.tensor([3.0, 5.0])) / 2)


def test_a_network_gets_its_own_weights_back_to_the_last_bit() -> None:
    """Protects training from validation, also where that fails."""
    flat = FlatNetwork(nn.BatchNorm1d(4), 0)
    average = WeightAverage(0.9, flat)
    own = torch.rand(8), torch.rand(8)
    flat.take(*own)
    with pytest.raises(KeyError), average.in_place():
        assert torch.equal(flat.parameters, average.parameters)
        raise KeyError
    assert torch.equal(flat.parameters, own[0]) and torch.equal(flat.buffers, own[1])


def test_the_average_becomes_the_model_and_training_does_not_see_it(desk: Desk) -> None:
    """Protects both: the weights go their way as without, the package holds the average."""
    data = mixed_data(desk)
    averaged = desk.job(data, AVERAGED, run="averaged")
    without = {name: value for name, value in OPTIMIZER.items() if name != "ema_decay"}
    plain = desk.job(data, {**AVERAGED, "optimizer": without}, run="plain")
    found, expected = desk.train(averaged).metrics, desk.train(plain).metrics
    assert found["train/loss"] == expected["train/loss"]
    assert found["validation/loss"] != expected["validation/loss"]
    one, other = commit_of(desk, "averaged").tensors, commit_of(desk, "plain").tensors
    assert torch.equal(one["parameters"], other["parameters"])
    assert torch.equal(one["best.parameters"], one["average.parameters"])
    assert torch.equal(one["best.buffers"], one["average.buffers"])
    version = desk.package(averaged)
    weights = safetensors.torch.load(read_part(version, "weights", desk.store))
    first = weights["layers.0.weight"]
    flat = one["average.parameters"]
    assert any(
        torch.equal(flat[start : start + first.numel()].view_as(first), first)
        for start in range(len(flat) - first.numel() + 1)
    )
    assert version.metrics["validation/loss"] == found["validation/loss"]


def test_a_killed_run_goes_on_with_its_average(desk: Desk) -> None:
    """Protects the resumed curve: the average is part of a commit, killed in and between epochs."""
    data = mixed_data(desk)
    spec = {**AVERAGED, "monitor": "accuracy", "commit_steps": 4}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (6, 14, 27):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)
    one, other = commit_of(desk, "one").tensors, commit_of(desk, "other").tensors
    assert one.keys() == other.keys()
    for name in ("average.parameters", "average.buffers", "best.parameters"):
        torch.testing.assert_close(other[name], one[name], rtol=1e-5, atol=1e-6)


def test_the_estimate_has_room_for_the_average() -> None:
    """Protects a worker's memory."""
    large = {**TABLE, "network": {"mlp": {"hidden_widths": [2048, 2048]}}}
    counts = SplitCounts(train=100, validation=20)
    plain = estimate(resolve(large), counts).worker_memory_bytes
    averaged = estimate(resolve({**large, "optimizer": {"ema_decay": 0.9}}), counts)
    assert averaged.worker_memory_bytes >= plain + 2 * 4 * 2048**2

"""Trainings with a teacher, with weights to start from, and with a growing decay."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from aimass.catalog.v1 import model_pb2
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from common.models.store import read_part
from common.networks.distillation import class_distances
from common.networks.growing_decay import GrowingDecay
from common.networks.modules import build_network
from common.networks.specification import from_proto
from services.trainer.domain.plain_objectives import Regression
from services.trainer.worker.flat import FlatNetwork
from tests.support.training import Desk, split_parts
from tests.unit.trainer.test_training import MIXED, history_of, mixed_data, train_until

WIDE = {**MIXED, "network": {"mlp": {"hidden_widths": [32, 16]}}, "monitor": "loss"}
NARROW = {**WIDE, "network": {"mlp": {"hidden_widths": [8, 4]}}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def trained(desk: Desk, spec: dict[str, Any] | None = None) -> model_pb2.ModelVersion:
    """Returns a network that has learned from `mixed_data`."""
    job = desk.job(mixed_data(desk), {**WIDE, "epochs": 15, **(spec or {})}, run="original")
    desk.train(job)
    return desk.package(job)


def state_of(desk: Desk, version: model_pb2.ModelVersion) -> dict[str, Tensor]:
    """Returns the tensors of a model version."""
    return safetensors.torch.load(read_part(version, "weights", desk.store))


def taught_by(version: model_pb2.ModelVersion, **more: float) -> dict[str, object]:
    return {"distillation": {"teacher_model_version": version.name, **more}}


def test_the_distance_is_that_of_hinton() -> None:
    """Protects the formula: temperature^2 x KL from the softened teacher to the softened pupil."""
    torch.manual_seed(0)
    output, said = torch.randn(6, 3), torch.randn(6, 3)
    own, wanted = (functional.softmax(each / 2.5, dim=1) for each in (output, said))
    expected = 2.5**2 * (wanted * (wanted / own).log()).sum(dim=1)
    torch.testing.assert_close(class_distances(output, said, 2.5), expected)
    values = Regression(3.0).distances(
        torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [2.0]]), 1
    )
    assert values.tolist() == [9.0, 0.0]


def test_a_pupil_that_is_told_by_its_teacher_alone_becomes_like_it(desk: Desk) -> None:
    """Protects distillation: with a share of 1 the truth does not count, however wrong it is."""
    teacher = trained(desk)
    wrong, right = mixed_data(desk, right=False), mixed_data(desk)
    spec = {**NARROW, "epochs": 40, "monitor": "none", **taught_by(teacher, weight=1.0)}
    job = desk.job(wrong, spec, run="pupil", teacher=teacher)
    assert desk.train(job).metrics["train/accuracy"] < 0.6, "there is nothing to be learned"
    pupil = desk.package(job)
    barely = {**NARROW, "epochs": 1, "optimizer": {"learning_rate": 1e-9}}
    looked = {**barely, "parent_model_version": pupil.name}
    found = desk.train(desk.job(right, looked, run="looked", parent=pupil)).metrics
    assert found["train/accuracy"] > teacher.metrics["train/accuracy"] - 0.05


def test_a_teacher_without_a_share_changes_nothing(desk: Desk) -> None:
    """Protects the meaning of metrics and of dropout's seeds beside a teacher."""
    teacher = trained(desk)
    data = mixed_data(desk)
    base = {**MIXED, "parent_model_version": ""}
    silent = desk.job(data, {**base, **taught_by(teacher, weight=0.0)}, run="a", teacher=teacher)
    plain = desk.job(data, base, run="b")
    desk.train(silent)
    desk.train(plain)
    np.testing.assert_allclose(history_of(desk, silent), history_of(desk, plain), rtol=1e-6)


def test_the_loss_that_is_reported_is_that_against_the_truth(desk: Desk) -> None:
    """Protects comparisons: losses mean the same with a teacher and without."""
    teacher = trained(desk)
    data = mixed_data(desk)
    once = {**NARROW, "epochs": 1, "batch_size": 1000}
    taught = desk.job(data, {**once, **taught_by(teacher)}, run="taught", teacher=teacher)
    plain = desk.job(data, once, run="plain")
    losses = [desk.train(each).metrics["train/loss"] for each in (taught, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_values_are_taught_too(desk: Desk) -> None:
    """Protects regression: a pupil told by its teacher alone comes close to it."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    columns = {"a": x[:, 0], "b": x[:, 1], "y": 5 + 3 * x[:, 0] - x[:, 1]}
    data = desk.dataset(columns, split_parts(400), "y", Task.REGRESSION)
    spec = {"network": {"linear": {}}, "epochs": 60, "batch_size": 32}
    job = desk.job(data, spec, run="linear")
    desk.train(job)
    teacher = desk.package(job)
    taught = {**spec, **taught_by(teacher, weight=1.0)}
    outcome = desk.train(desk.job(data, taught, run="pupil", teacher=teacher))
    assert outcome.metrics["validation/r2"] > 0.99


def test_a_run_with_a_teacher_keeps_its_preprocessing_and_names_it(desk: Desk) -> None:
    """Protects what the teacher sees, and the lineage."""
    teacher = trained(desk)
    teacher.name = "models/teacher/versions/1"
    spec = {**NARROW, "epochs": 1, **taught_by(teacher)}
    job = desk.job(mixed_data(desk), spec, run="pupil", teacher=teacher)
    desk.train(job)
    version = desk.package(job)
    assert read_part(version, "preprocessing", desk.store) == read_part(
        teacher, "preprocessing", desk.store
    )
    assert teacher.name in version.lineage.inputs


def narrowed(desk: Desk, version: model_pb2.ModelVersion) -> dict[str, Tensor]:
    """Returns tensors of a network of NARROW's widths, with the first units of a wide one."""
    network = from_proto(version.network)
    assert network.mlp is not None
    mlp = network.mlp.model_copy(update={"hidden_widths": (8, 4)})
    shapes = build_network(network.model_copy(update={"mlp": mlp})).state_dict()
    wide = state_of(desk, version)
    return {
        name: wide[name][tuple(map(slice, each.shape))].contiguous()
        for name, each in shapes.items()
    }


def test_a_narrower_network_starts_from_weights_that_are_given(desk: Desk) -> None:
    """Protects fine-tuning after pruning: a step of rate nearly 0 leaves what was given."""
    parent = trained(desk)
    given = narrowed(desk, parent)
    spec = {
        **NARROW,
        "epochs": 1,
        "optimizer": {"learning_rate": 1e-9},
        "parent_model_version": parent.name,
        "starting_weights": desk.tensors(given),
    }
    job = desk.job(mixed_data(desk), spec, run="narrow", parent=parent)
    desk.train(job)
    found = state_of(desk, desk.package(job))
    assert found.keys() == given.keys()
    for name, each in given.items():
        torch.testing.assert_close(found[name], each, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers.0.bias": torch.zeros(3)}, r"`layers.0.bias` is \(3,\) and the network's is \(8,"),
        ({"other": torch.zeros(3)}, "`other` is none of the network's"),
        ({"layers.0.bias": None}, "it has no `layers.0.bias`"),
    ],
)
def test_weights_of_another_network_are_named(
    desk: Desk, change: dict[str, Tensor | None], words: str
) -> None:
    """Protects from a fault deep in torch: which tensor, which field, what to do."""
    parent = trained(desk)
    given = {**narrowed(desk, parent), **change}
    kept = {name: each for name, each in given.items() if each is not None}
    spec = {**NARROW, "parent_model_version": parent.name, "starting_weights": desk.tensors(kept)}
    job = desk.job(mixed_data(desk), spec, run="narrow", parent=parent)
    with pytest.raises(InvalidFieldError, match=words) as caught:
        desk.train(job)
    assert caught.value.violations[0].field == "training_run.spec.starting_weights"


def test_a_file_that_changed_is_refused(desk: Desk) -> None:
    """Protects from weights that are not those that were meant."""
    parent = trained(desk)
    file = desk.tensors(narrowed(desk, parent))
    desk.store.write("runs/given/tensors", b"other")
    spec = {**NARROW, "parent_model_version": parent.name, "starting_weights": file}
    job = desk.job(mixed_data(desk), spec, run="narrow", parent=parent)
    with pytest.raises(DataLossError, match=r"starting_weights: The artifact .* is damaged"):
        desk.train(job)


DECAYED = {**WIDE, "monitor": "none", "optimizer": {"kind": "sgd", "learning_rate": 0.01}}


def decay_of(desk: Desk, strengths: dict[str, Tensor]) -> dict[str, object]:
    return {"growing_decay": {"strengths": desk.tensors(strengths, "strengths")}}


def test_decay_grows_with_the_share_of_steps() -> None:
    """Protects the formula: p -= rate x strength x share x p, never beyond 0."""
    parameters = nn.Parameter(torch.tensor([1.0, 1.0, 1.0, -2.0]))
    decay = GrowingDecay(torch.tensor([0.0, 1.0, 1000.0, 1.0]), steps=4)
    decay.apply(parameters, step=1, rate=0.4)
    torch.testing.assert_close(parameters.data, torch.tensor([1.0, 0.9, 0.0, -1.8]))
    decay.apply(parameters, step=4, rate=0.4)
    torch.testing.assert_close(parameters.data, torch.tensor([1.0, 0.54, 0.0, -1.08]))


def test_numbers_for_parameters_lie_where_the_parameters_do() -> None:
    """Protects convolutions, whose weights lie channels last."""
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(16, 2))
    flat = FlatNetwork(network, 0)
    numbers = {name: torch.rand(each.shape) for name, each in network.named_parameters()}
    found = flat.flattened(numbers)
    with torch.no_grad():
        flat.parameters.copy_(found)
    for name, each in network.named_parameters():
        torch.testing.assert_close(each.data, numbers[name])
    assert flat.flattened({"0.bias": numbers["0.bias"]}).count_nonzero() == 4


def test_decayed_units_vanish_and_the_others_stay(desk: Desk) -> None:
    """Protects regularised training: strong decay of some rows ends at nearly 0, others live."""
    parent = trained(desk)
    strengths = torch.zeros(32, state_of(desk, parent)["layers.0.weight"].shape[1])
    strengths[16:] = 50.0
    spec = {**DECAYED, "epochs": 12, "parent_model_version": parent.name}
    spec |= decay_of(desk, {"layers.0.weight": strengths})
    job = desk.job(mixed_data(desk), spec, run="decayed", parent=parent)
    outcome = desk.train(job)
    assert outcome.best_epoch == 12, "the last epoch's weights become the model"
    norms = state_of(desk, desk.package(job))["layers.0.weight"].norm(dim=1)
    assert norms[16:].max() < 0.02 * norms[:16].mean()


@pytest.mark.parametrize(
    ("strengths", "words"),
    [
        ({"layers.0.bias": torch.full((32,), -1.0)}, "numbers below 0"),
        ({"layers.0.bias": torch.full((32,), float("nan"))}, "numbers below 0, or none"),
        ({"layers.9.bias": torch.ones(32)}, "is none of the network's"),
    ],
)
def test_strengths_that_mean_nothing_are_refused(
    desk: Desk, strengths: dict[str, Tensor], words: str
) -> None:
    """Protects from growth in place of decay, and from names that nothing has."""
    job = desk.job(mixed_data(desk), {**DECAYED, **decay_of(desk, strengths)})
    with pytest.raises(InvalidFieldError, match=words) as caught:
        desk.train(job)
    assert caught.value.violations[0].field == "training_run.spec.growing_decay.strengths"


def test_a_killed_run_with_teacher_and_decay_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects the resumed curve: neither teacher nor decay hides a state of its own."""
    teacher = trained(desk)
    data = mixed_data(desk)
    strengths = {
        "layers.0.weight": torch.full_like(state_of(desk, teacher)["layers.0.weight"], 9.0)
    }
    spec = {**DECAYED, "schedule": {"cosine_decay": True}, "commit_steps": 4}
    spec |= {"parent_model_version": teacher.name, **taught_by(teacher)}
    spec |= decay_of(desk, strengths)
    undisturbed, disturbed = (
        desk.job(data, spec, run=run, parent=teacher, teacher=teacher)
        for run in ("undisturbed", "disturbed")
    )
    desk.train(undisturbed)
    for step in (6, 14, 27):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)

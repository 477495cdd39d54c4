"""Several labels that do not exclude each other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, hamming_loss
from torch import Tensor
from torch.nn import functional

from aimass.catalog.v1 import dataset_pb2
from common.errors import InvalidFieldError
from common.models.package import load_package
from common.models.preprocessing import Target
from common.models.store import read_part
from common.models.twin import run_onnx
from common.models.vectors import read_vectors
from common.networks.distillation import label_distances
from services.trainer.domain.loss import Loss
from services.trainer.domain.objective import Objective, make_objectives
from services.trainer.domain.plain_objectives import MultiLabel
from tests.support.training import Desk, split_parts
from tests.unit.trainer.test_objective import metrics_of
from tests.unit.trainer.test_training import history_of, train_until

LABELS = ("loud", "fast", "rare")
TARGET = Target(name=LABELS[0], task="multi_label", classes=LABELS)
SHARES = np.array([0.5, 0.25, 0.1])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def labelled_data(desk: Desk, rows: int = 400) -> dataset_pb2.DatasetVersion:
    """Two labels that depend on numbers and one on a category, as truth values and as numbers."""
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=rows), generator.normal(size=rows)
    city = generator.choice(np.array(["x", "y", "z"], object), rows)
    columns = {
        "a": a,
        "b": b,
        "city": city,
        "weight": generator.uniform(0, 2, rows),
        "loud": (a + 0.3 * b > 0).astype(np.float64),
        "fast": b > 0.7,
        "rare": (city == "x") & (a > 1),
    }
    return desk.labelled(columns, split_parts(rows, test=0.1), LABELS)


SPEC = {
    "epochs": 30,
    "batch_size": 32,
    "weight_column": "weight",
    "network": {"mlp": {}},
    "optimizer": {"learning_rate": 0.01},
}


def objective(loss: Mapping[str, object] | None) -> Objective:
    chosen = None if loss is None else Loss.model_validate(loss)
    return make_objectives(TARGET, chosen, lambda *, evenly=False: SHARES).learning


def some_rows(count: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(count, 3), (torch.rand(count, 3) < 0.4).float(), torch.rand(count)


def test_metrics_agree_with_scikit_learn_on_weighted_rows() -> None:
    """Protects sums over workers with uneven slices: they give what all rows together give."""
    output, target, weight = some_rows()
    found = metrics_of(MultiLabel(3), output, target, weight)
    truth, given = target.numpy(), (output > 0).numpy()
    losses = functional.binary_cross_entropy(output.sigmoid(), target, reduction="none")
    for name, expected in (
        ("loss", float(weight @ losses.mean(dim=1) / weight.sum())),
        ("accuracy", accuracy_score(truth, given, sample_weight=weight)),
        ("hamming_loss", hamming_loss(truth, given, sample_weight=weight)),
        ("f1_macro", f1_score(truth, given, average="macro", sample_weight=weight)),
        ("f1_micro", f1_score(truth, given, average="micro", sample_weight=weight)),
    ):
        assert found[name] == pytest.approx(expected, rel=1e-5), name


def test_a_label_that_nobody_has_counts_as_not_found() -> None:
    """Protects from a division by zero."""
    output, target, weight = some_rows()
    output[:, 2], target[:, 2] = -1, 0
    assert 0 < metrics_of(MultiLabel(3), output, target, weight)["f1_macro"] < 1


def test_smoothing_moves_the_truth_to_the_middle() -> None:
    """Protects the formula: a label has two classes."""
    output, target, _ = some_rows()
    found = objective({"label_smoothing": 0.2}).losses(output, target)
    wanted = functional.binary_cross_entropy_with_logits(
        output, 0.1 + 0.8 * target, reduction="none"
    )
    torch.testing.assert_close(found, wanted.mean(dim=1))


def test_balanced_labels_weigh_the_same_with_and_without() -> None:
    """Protects BALANCED: share x factor is one half on both sides of each label."""
    output = torch.zeros(2, 3)
    target = torch.stack([torch.ones(3), torch.zeros(3)])
    for label, share in enumerate(SHARES):
        one = torch.full((2, 3), 0.0)
        one[:, label] = 1
        chosen = objective({"class_weighting": "balanced"})
        losses = chosen.losses(output + 60 * (2 * target - 1) * (1 - one), target)
        plain = np.log(2) / 3
        np.testing.assert_allclose(losses[0] * share, plain / 2, rtol=1e-5)
        np.testing.assert_allclose(losses[1] * (1 - share), plain / 2, rtol=1e-5)


def test_weights_say_what_having_a_label_weighs() -> None:
    """Protects `class_weights`: their ratio counts, the mean over the training rows is 1."""
    target = torch.stack([torch.ones(3), torch.zeros(3)])
    losses = objective({"class_weights": {"rare": 4.0}}).losses(torch.zeros(2, 3), target)
    mean = 0.1 * 4 + 0.9
    expected = np.log(2) / 3 * np.array([2 + 4 / mean, 2 + 1 / mean])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_gradients_are_finite_where_the_network_is_sure(gamma: float) -> None:
    """Protects the focal factor at probabilities that round to 0 and 1."""
    output = torch.tensor([[90.0, -90.0, 0.0]], requires_grad=True)
    loss = objective({"focal_gamma": gamma, "class_weights": {"rare": 2.0}})
    losses = loss.losses(output, torch.tensor([[1.0, 0.0, 1.0]]))
    torch.autograd.backward(losses.sum())
    assert output.grad is not None and torch.isfinite(output.grad).all()


def test_a_teacher_that_says_the_same_is_at_no_distance() -> None:
    """Protects distillation: 0 at the teacher's outputs, positive elsewhere."""
    output, _, _ = some_rows()
    torch.testing.assert_close(label_distances(output, output, 4.0), torch.zeros(60))
    assert (label_distances(output, output + 1, 4.0) > 0).all()


def test_labels_are_learned_and_the_package_tells_their_probabilities(desk: Desk) -> None:
    """Protects multi-label from data to twin."""
    job = desk.job(labelled_data(desk), SPEC)
    assert job.specification.targets == LABELS and job.specification.target == ""
    outcome = desk.train(job)
    assert outcome.metrics["validation/accuracy"] > 0.8
    assert outcome.metrics["validation/hamming_loss"] < 0.1
    version = desk.package(job)
    assert version.task == dataset_pb2.TASK_MULTI_LABEL
    assert tuple(version.signature.classes) == LABELS
    assert list(version.signature.outputs[0].shape) == [-1, 3]
    assert version.metrics["onnx/max_abs_error"] < 1e-5
    assert version.metrics["test/f1_macro"] > 0.5
    loaded = load_package(desk.store, version)
    inputs = read_vectors(version, desk.store).inputs
    found = loaded.predict(inputs)["probabilities"].astype(np.float64)
    assert ((found >= 0) & (found <= 1)).all() and found.sum(axis=1).std() > 0.1
    twin = run_onnx(read_part(version, "onnx", desk.store), inputs)
    assert np.abs(twin - found).max() < 1e-5


def test_a_killed_run_of_labels_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects the state: sums of every label are part of it."""
    data = labelled_data(desk)
    loss = {"class_weighting": "balanced", "focal_gamma": 1.0}
    spec = {**SPEC, "epochs": 4, "commit_steps": 3, "loss": loss}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("undisturbed", "disturbed"))
    desk.train(undisturbed)
    train_until(desk, disturbed, 15)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_a_child_needs_the_labels_of_its_parent(desk: Desk) -> None:
    """Protects from weights whose outputs mean other labels."""
    data = labelled_data(desk)
    job = desk.job(data, {**SPEC, "epochs": 1})
    desk.train(job)
    parent = desk.package(job)
    child = {**SPEC, "epochs": 1, "parent_model_version": parent.name}
    assert desk.job(data, child, parent=parent).preprocessing == job.preprocessing
    features = ("a", "b", "city")
    for targets in (("fast", "loud", "rare"), ("fast", "loud")):
        spec = {**child, "targets": targets, "features": features}
        with pytest.raises(InvalidFieldError, match="parent_model_version"):
            desk.job(data, spec, parent=parent)


def test_wrong_targets_are_named(desk: Desk) -> None:
    """Protects users from guessing which field is wrong."""
    data = labelled_data(desk)
    for spec, field, words in (
        ({"targets": ["loud", "a"]}, "targets[1]", "holds other values"),
        ({"targets": ["loud", "loud"]}, "targets[1]", "listed twice"),
        ({"targets": ["loud", "none"]}, "targets[1]", "no column `none`"),
        ({"targets": ["loud"], "task": "regression"}, "targets", "MULTI_LABEL"),
        ({"target": "loud", "task": "multi_label"}, "target", "`*targets`"),
        ({"loss": {"balanced_sampling": True}}, "loss.balanced_sampling", "multi-label"),
        ({"loss": {"class_weights": {"x": 2.0}}}, "loss.class_weights", "no class `x`"),
        ({"loss": {"regression": "huber"}}, "loss.regression", "multi-label"),
        ({"weight_column": "loud"}, "weight_column", "is the target"),
        ({"features": ["a", "rare"]}, "features[1]", "the target"),
    ):
        with pytest.raises(InvalidFieldError, match=words) as caught:
            desk.job(data, {**SPEC, **spec})
        assert caught.value.violations[0].field == f"training_run.spec.{field}"


def test_one_of_several_labels_can_be_a_target_alone(desk: Desk) -> None:
    """Protects the data set of labels from being good for one task only."""
    job = desk.job(labelled_data(desk), {"target": "fast", "network": {"mlp": {}}})
    assert job.specification.task == "classification"
    assert job.specification.features == ("a", "b", "city", "weight")


def test_rows_that_are_blends_have_shares_of_labels(desk: Desk) -> None:
    """Protects mixup: labels are learned from blends; similar rows of many targets are refused."""
    data = labelled_data(desk)
    mixup: dict[str, object] = {"augmentation": {"policies": [{"mixup": {}}]}}
    loss = {"class_weighting": "balanced"}
    outcome = desk.train(desk.job(data, {**SPEC, **mixup, "loss": loss}))
    assert outcome.metrics["validation/f1_micro"] > 0.8
    similar: dict[str, object] = {"augmentation": {"policies": [{"interpolation": {}}]}}
    with pytest.raises(InvalidFieldError, match="one target"):
        desk.job(data, {**SPEC, **similar})

"""Losses that a run may choose."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import Task
from common.errors import InvalidFieldError
from common.models.preprocessing import Target
from common.networks.distillation import class_distances
from services.trainer.domain.distillation import Teacher
from services.trainer.domain.loss import Loss
from services.trainer.domain.objective import ChosenLoss, Objective, make_objectives
from services.trainer.worker.commits import read_commit
from services.trainer.worker.state import RunState
from tests.support.training import Array, Desk, split_parts
from tests.unit.trainer.test_training import history_of, train_until

CLASSES = ("a", "b", "c")
SHARES = np.array([0.5, 0.4, 0.1])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def make_objective(
    target: Target, loss: Mapping[str, object] | None, shares: np.ndarray = SHARES
) -> Objective:
    chosen = None if loss is None else Loss.model_validate(loss)
    return make_objectives(target, chosen, lambda *, evenly=False: shares).learning


def of_classes(loss: Mapping[str, object], shares: np.ndarray = SHARES) -> Objective:
    target = Target(name="y", task="classification", classes=CLASSES)
    return make_objective(target, loss, shares)


def rows(count: int = 40) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return 3 * torch.randn(count, 3), torch.randint(0, 3, (count,))


def test_without_a_loss_there_is_no_objective_beside_the_loss() -> None:
    """Protects what is reported where nothing was chosen."""
    objective = make_objective(Target(name="y", task="classification", classes=CLASSES), None)
    metrics = objective.metrics([1.0] * objective.sums)
    assert [*metrics] == ["loss", "accuracy", "balanced_accuracy"]


def test_commits_of_versions_with_fewer_metrics_go_on() -> None:
    """Protects runs that are updated under way: the history stays a table, sums begin anew."""
    state = RunState(step=3, sums=[1.0, 2.0, 3.0], names=["train/loss"], history=[[0.5], [0.4]])
    state = state.with_sums(9)
    assert state.sums == [0.0] * 9 and state.with_sums(9) is state
    state.add_epoch({"train/loss": 0.3, "train/balanced_accuracy": 0.7})
    state.add_epoch({"train/loss": 0.2, "train/balanced_accuracy": 0.8})
    expected = [[0.5, np.nan], [0.4, np.nan], [0.3, 0.7], [0.2, 0.8]]
    np.testing.assert_array_equal(np.array(state.history), expected)


def test_smoothing_is_that_of_torch() -> None:
    """Protects the formula: the truth's share is 1 - s + s / classes."""
    output, target = rows()
    found = of_classes({"label_smoothing": 0.2}).losses(output, target)
    wanted = 0.8 * functional.one_hot(target, 3) + 0.2 / 3
    torch.testing.assert_close(found, -(wanted * output.log_softmax(1)).sum(1))


def test_balanced_classes_weigh_the_same_in_all() -> None:
    """Protects BALANCED: share x factor is the same for each class, and 1 in all."""
    output, target = rows()
    plain = functional.cross_entropy(output, target, reduction="none")
    factors = of_classes({"class_weighting": "balanced"}).losses(output, target) / plain
    by_class = np.array([float(factors[target == each].mean()) for each in range(3)])
    np.testing.assert_allclose(by_class * SHARES, 1 / 3, rtol=1e-4)


def test_a_class_without_training_rows_counts_as_an_average_one() -> None:
    """Protects from a division by zero where only validation rows have a class."""
    output, target = rows()
    shares = np.array([0.75, 0.25, 0.0])
    found = of_classes({"class_weighting": "balanced"}, shares).losses(output, target)
    plain = functional.cross_entropy(output, target, reduction="none")
    torch.testing.assert_close(found, plain * torch.tensor([2 / 3, 2.0, 1.0])[target])


def test_only_ratios_of_weights_count() -> None:
    """Protects the learning rate's meaning: the mean over the training rows is 1."""
    output, target = rows()
    small = of_classes({"class_weights": {"c": 2.0}}).losses(output, target)
    weights = {"a": 10.0, "b": 10.0, "c": 20.0}
    torch.testing.assert_close(of_classes({"class_weights": weights}).losses(output, target), small)
    plain = functional.cross_entropy(output, target, reduction="none")
    factors = torch.tensor([1, 1, 2]) / (0.5 + 0.4 + 0.1 * 2)
    torch.testing.assert_close(small, plain * factors[target])


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_losses_are_those_of_the_paper_and_have_gradients_everywhere(gamma: float) -> None:
    """Protects (1 - p)^gamma, also where p rounds to 1, where the power has no slope."""
    output, target = rows()
    output[0] = torch.tensor([-200.0, -200.0, -200.0])
    output[0, target[0]] = 200.0
    output.requires_grad_()
    losses = of_classes({"focal_gamma": gamma}).losses(output, target)
    likely = output.detach().softmax(1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(
        losses, -((1 - likely) ** gamma) * likely.log(), atol=1e-5, rtol=1e-3
    )
    torch.autograd.backward(losses.sum())
    assert output.grad is not None and bool(output.grad.isfinite().all())


def costs(matrix: np.ndarray) -> dict[str, object]:
    found = [
        {"truth": truth, "costs": dict(zip(CLASSES, line, strict=True))}
        for truth, line in zip(CLASSES, matrix.tolist(), strict=True)
    ]
    return {"cost_matrix": {"rows": found[::-1]}}


def test_equal_costs_are_the_cross_entropy() -> None:
    """Protects the scale of costs: any unit, whatever right decisions cost."""
    output, target = rows()
    found = of_classes(costs(np.full((3, 3), 70.0) - 50 * np.eye(3))).losses(output, target)
    torch.testing.assert_close(found, functional.cross_entropy(output, target, reduction="none"))


def learned(objective: Objective, posterior: np.ndarray) -> Tensor:
    """Returns the outputs that make the expected loss smallest, shape (classes,)."""
    output = torch.zeros(1, 3, requires_grad=True)
    shares = torch.from_numpy(posterior).float()
    solver = torch.optim.LBFGS([output], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        value = objective.losses(output.expand(3, 3), torch.arange(3)) @ shares
        torch.autograd.backward(value)
        return value

    solver.step(closure)  # type: ignore[no-untyped-call]
    return output.detach()[0]


def test_what_is_learned_from_costs_is_the_decision_of_least_expected_cost() -> None:
    """Protects the claim on any costs, those of right decisions and earnings included."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        matrix, posterior = generator.uniform(-1, 5, (3, 3)), generator.dirichlet(np.ones(3))
        output = learned(of_classes(costs(matrix), posterior), posterior)
        expected = posterior @ matrix
        assert expected[int(output.argmax())] == pytest.approx(expected.min(), abs=1e-3)


def test_costs_of_two_classes_weigh_rows() -> None:
    """Protects the agreement with Elkan: what mistaking a row costs is its weight."""
    target = Target(name="y", task="classification", classes=("a", "b"))
    matrix = [{"truth": "a", "costs": {"b": 1.0}}, {"truth": "b", "costs": {"a": 9.0}}]
    both: list[dict[str, object]] = [
        {"cost_matrix": {"rows": matrix}},
        {"class_weights": {"b": 9.0}},
    ]
    shares = np.array([0.8, 0.2])
    output, truth = torch.randn(10, 2), torch.arange(10) % 2
    one, other = (make_objective(target, loss, shares) for loss in both)
    torch.testing.assert_close(one.losses(output, truth), other.losses(output, truth))


def test_metrics_stay_and_what_is_made_small_is_one_more() -> None:
    """Protects comparisons across runs: `loss` is the plain one."""
    output, target = rows()
    weight = torch.rand(len(target))
    plain = make_objective(Target(name="y", task="classification", classes=CLASSES), None)
    chosen = of_classes({"class_weighting": "balanced", "label_smoothing": 0.1})
    expected, found = (
        each.metrics(each.add_up(output, each.losses(output, target), target, weight).tolist())
        for each in (plain, chosen)
    )
    objective = found.pop("objective")
    assert found == expected
    losses = chosen.losses(output, target)
    assert objective == pytest.approx(float(losses @ weight / weight.sum()), rel=1e-5)


def test_a_teacher_is_mixed_with_the_chosen_loss() -> None:
    """Protects distillation: the truth's part is what was chosen, the teacher's stays."""
    output, target = rows()
    network = nn.Linear(2, 3)
    inputs = torch.randn(len(target), 2)
    chosen = of_classes({"class_weights": {"c": 5.0}})
    losses = chosen.losses(output, target)
    found = Teacher(network, 0.25, 2.0).mixed(losses, output, [inputs], chosen)
    distances = class_distances(output, network(inputs), 2.0)
    torch.testing.assert_close(found, 0.75 * losses + 0.25 * distances)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"regression": "absolute"}, [0.5, 3.0]),
        ({"regression": "huber", "huber_delta": 1.0}, [0.125, 2.5]),
        ({"regression": "huber", "huber_delta": 2.0}, [0.125, 4.0]),
    ],
)
def test_losses_of_values(loss: Mapping[str, object], expected: list[float]) -> None:
    """Protects what delta means, and metrics in the target's units beside another loss."""
    target = Target(name="y", task="regression", mean=7, scale=10)
    objective = make_objective(target, loss)
    assert isinstance(objective, ChosenLoss)
    output, truth = torch.tensor([[0.5], [-3.0]]), torch.zeros(2)
    losses = objective.losses(output, truth)
    torch.testing.assert_close(losses, torch.tensor(expected))
    sums = objective.add_up(output, losses, truth, torch.ones(2))
    metrics = objective.metrics(sums.tolist())
    assert metrics["loss"] == pytest.approx(100 * (0.25 + 9) / 2)
    assert metrics["mean_absolute_error"] == pytest.approx(10 * 3.5 / 2)
    assert metrics["objective"] == pytest.approx(sum(expected) / 2)


def imbalanced(desk: Desk, count: int = 600) -> dataset_pb2.DatasetVersion:
    """Two overlapping classes, one of them of every tenth row; weights of rows."""
    generator = np.random.default_rng(0)
    rare = generator.random(count) < 0.1
    x = generator.normal(size=(count, 2)) + 1.2 * rare[:, None]
    columns: dict[str, Array] = {
        "a": x[:, 0],
        "b": x[:, 1],
        "w": generator.uniform(0.5, 2, count),
        "y": np.where(rare, "rare", "usual").astype(object),
    }
    return desk.dataset(columns, split_parts(count), "y")


SMALL = {"network": {"mlp": {"hidden_widths": [16]}}, "epochs": 15, "batch_size": 32}
WEIGHTED = {**SMALL, "loss": {"class_weighting": "balanced", "label_smoothing": 0.05}}


def test_balanced_training_finds_the_rare_class(desk: Desk) -> None:
    """Protects the use of class weights: overall accuracy is paid for the rare class."""
    data = imbalanced(desk)
    plain = desk.train(desk.job(data, SMALL, run="plain"))
    job = desk.job(data, {**SMALL, "loss": {"class_weighting": "balanced"}}, run="balanced")
    balanced = desk.train(job)
    assert job.specification.monitor == "objective"
    assert balanced.metrics["validation/accuracy"] < plain.metrics["validation/accuracy"]
    assert "validation/objective" in balanced.metrics
    assert "validation/objective" not in plain.metrics
    assert desk.package(job).metrics["validation/objective"] > 0


def test_class_weights_are_weights_of_rows(desk: Desk) -> None:
    """Protects the way weights go into the gradient: a class's weight is that of all its rows."""
    generator = np.random.default_rng(1)
    label = np.where(np.arange(120) % 4 == 0, "n", "y").astype(object)
    columns: dict[str, Array] = {"a": generator.normal(size=120), "y": label}
    columns["w"] = np.where(label == "n", 3.0, 1.0)
    data = desk.dataset(columns, np.zeros(120, np.uint8), "y")
    spec = {"features": ["a"], "network": {"linear": {}}, "epochs": 4, "batch_size": 120}
    loss = {"loss": {"class_weights": {"n": 3.0}}}
    one = desk.train(desk.job(data, {**spec, **loss}, run="class"))
    other = desk.train(desk.job(data, {**spec, "weight_column": "w"}, run="row"))
    assert one.metrics["train/objective"] == pytest.approx(other.metrics["train/loss"], rel=1e-5)


def test_a_killed_run_with_another_loss_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects the sum of the objective, which is part of a commit."""
    data = imbalanced(desk, 200)
    spec = {**WEIGHTED, "weight_column": "w", "epochs": 4, "commit_steps": 3}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (6, 13):
        train_until(desk, disturbed, step)
        assert read_commit(desk.context(disturbed).commit_dir) is not None
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_absolute_errors_find_the_median(desk: Desk) -> None:
    """Protects ABSOLUTE: rows that are far out hardly matter."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, 400)
    y = 3 * x + 50.0 * (generator.random(400) < 0.1)
    data = desk.dataset({"x": x, "y": y}, split_parts(400), "y", Task.REGRESSION)
    spec = {"network": {"linear": {}}, "epochs": 80, "batch_size": 32}
    loss = {"loss": {"regression": "absolute"}}
    found = desk.train(desk.job(data, {**spec, **loss}, run="absolute")).metrics
    plain = desk.train(desk.job(data, spec, run="squared")).metrics
    error = "validation/mean_absolute_error"
    assert found[error] < 0.75 * plain[error]
    assert found["validation/loss"] > plain["validation/loss"]


def test_folds_of_a_proof_take_the_loss_and_are_compared_by_the_plain_one(desk: Desk) -> None:
    """Protects the proof: its models are trained the run's way, and scored comparably."""
    data = imbalanced(desk, 200)
    marked = np.random.default_rng(3).random(200) < 0.1
    scan = desk.scan(data, marked)
    outliers = {"scan": scan.name, "prove": {"folds": 3, "epochs": 2}}
    outcomes = []
    for run, loss in (("chosen", {"loss": {"class_weights": {"rare": 9.0}}}), ("plain", {})):
        job = desk.job(data, {**SMALL, "epochs": 2, **loss, "outliers": outliers}, run, scan=scan)
        assert job.specification.monitor == "loss"
        outcomes.append(desk.train(job).comparison)
    one, other = (comparison.results[0].scores for comparison in outcomes if comparison)
    assert min(np.array(one) - np.array(other)) > 0, "weights make the plain loss worse"


def test_classes_that_are_numbers_are_checked_by_workers(desk: Desk) -> None:
    """Protects the error where the schema does not list the labels."""
    columns = {"x": np.arange(60.0), "y": np.arange(60.0) % 2}
    data = desk.dataset(columns, split_parts(60), "y")
    spec = {**SMALL, "target": "y", "task": "classification"}
    job = desk.job(data, {**spec, "loss": {"class_weights": {"2": 3.0}}})
    with pytest.raises(InvalidFieldError, match="no class `2`; its classes are `0`, `1`") as caught:
        desk.train(job)
    assert caught.value.violations[0].field == "training_run.spec.loss.class_weights"

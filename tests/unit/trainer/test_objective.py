import numpy as np
import pytest
import torch
from sklearn.metrics import (
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)

from services.trainer.domain.objective import Objective
from services.trainer.domain.plain_objectives import Classification, Regression


def metrics_of(
    objective: Objective, output: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> dict[str, float]:
    """Measures in two uneven parts, as two workers do."""
    total = np.zeros(objective.sums)
    for part in (slice(0, 3), slice(3, None)):
        losses = objective.losses(output[part], target[part])
        sums = objective.add_up(output[part], losses, target[part], weight[part])
        total += np.array(sums.tolist())
    return objective.metrics(total.tolist())


def test_classification_agrees_with_scikit_learn_on_weighted_rows() -> None:
    """Protects metrics that are averaged over workers with uneven slices and row weights."""
    torch.manual_seed(0)
    output, target = torch.randn(20, 4), torch.randint(0, 4, (20,))
    weight = torch.rand(20)
    metrics = metrics_of(Classification(4), output, target, weight)
    probabilities = output.double().softmax(dim=1)
    expected = log_loss(target, probabilities, sample_weight=weight, labels=range(4))
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    right = (output.argmax(dim=1) == target).float()
    assert metrics["accuracy"] == pytest.approx(float(right @ weight / weight.sum()), rel=1e-5)
    found = balanced_accuracy_score(target, output.argmax(dim=1), sample_weight=weight)
    assert metrics["balanced_accuracy"] == pytest.approx(found, rel=1e-5)
    assert "mean_cost" not in metrics


def test_a_class_without_rows_has_no_recall() -> None:
    """Protects balanced accuracy of small validation parts."""
    output = torch.eye(3)[[0, 1, 1, 0]]
    metrics = metrics_of(Classification(3), output, torch.tensor([0, 1, 0, 0]), torch.ones(4))
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_decisions_cost_what_the_matrix_says() -> None:
    """Protects the mean cost: of the most likely class, in the matrix's own units, weighted."""
    costs = torch.tensor([[0.0, 2.0], [70.0, -1.0]])
    output = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    target, weight = torch.tensor([0, 0, 1, 1]), torch.tensor([1.0, 1.0, 1.0, 3.0])
    metrics = metrics_of(Classification(2, costs), output, target, weight)
    assert metrics["mean_cost"] == pytest.approx((0 + 2 + 70 - 3) / 6)


def test_regression_agrees_with_scikit_learn_in_the_targets_units() -> None:
    """Protects metrics from the internal scale: they are those of the original values."""
    torch.manual_seed(0)
    scale, mean = 12.5, 1000.0
    output, target, weight = torch.randn(20, 1), torch.randn(20), torch.rand(20)
    metrics = metrics_of(Regression(scale), output, target, weight)
    found, true = output.squeeze(1) * scale + mean, target * scale + mean
    for name, function in (
        ("loss", mean_squared_error),
        ("mean_absolute_error", mean_absolute_error),
        ("r2", r2_score),
    ):
        expected = function(true.double(), found.double(), sample_weight=weight)
        assert metrics[name] == pytest.approx(expected, rel=1e-3), name


def test_rows_without_weight_count_for_nothing() -> None:
    """Protects from a division by zero where all rows of a part weigh nothing."""
    sums = [0.0] * 5
    assert Regression(1.0).metrics(sums)["loss"] == 0

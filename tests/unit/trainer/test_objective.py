import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, r2_score

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
    metrics = metrics_of(Classification(), output, target, weight)
    probabilities = output.double().softmax(dim=1)
    expected = log_loss(target, probabilities, sample_weight=weight, labels=range(4))
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    right = (output.argmax(dim=1) == target).float()
    assert metrics["accuracy"] == pytest.approx(float(right @ weight / weight.sum()), rel=1e-5)


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

"""Metrics of what decisions cost."""

import numpy as np
import pytest

from common.errors import InvalidFieldError
from common.scoring.costs import cost_column_of, cost_matrix_of
from common.scoring.registry import METRICS, on_rows
from services.tuner.domain.problem import ProblemKind


def test_cost_matrix_decides_by_expected_cost() -> None:
    """A costly miss is avoided although it is unlikely; earnings are negative."""
    metric = cost_matrix_of([[0, 1], [10, -2]], 2)
    outputs = np.array([[0.8, 0.2], [0.95, 0.05], [0.1, 0.9]])
    assert metric.decisions(outputs).tolist() == [1, 0, 1]
    truth = np.array([0, 1, 1])
    assert metric.row_losses(truth, outputs).tolist() == [1, 10, -2]
    assert metric.loss(truth, outputs) == pytest.approx(3)
    assert metric.loss(truth, outputs, np.array([1.0, 0, 1])) == pytest.approx(-0.5)
    assert metric.kinds == {ProblemKind.BINARY}


def test_equal_costs_are_the_error_rate() -> None:
    """Where all mistakes cost 1, both metrics of costs are the share of wrong decisions."""
    rng = np.random.default_rng(17)
    truth, weights = rng.integers(0, 4, 60), rng.uniform(0.1, 3, 60)
    outputs = rng.dirichlet(np.ones(4), 60)
    expected = METRICS["accuracy"].loss(truth, outputs, weights)
    matrix = cost_matrix_of((1 - np.eye(4)).tolist(), 4)
    assert matrix.loss(truth, outputs, weights) == pytest.approx(expected)
    column = cost_column_of(np.ones(len(truth)))
    assert column.loss(truth, outputs, weights) == pytest.approx(expected)


def test_cost_column_is_of_its_rows() -> None:
    """Folds see the costs of their own rows; others are not taken for them."""
    metric = cost_column_of([1.0, 5.0, 3.0])
    truth, outputs = np.array([0, 1, 1]), np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert metric.loss(truth, outputs) == pytest.approx(2)
    rows = np.array([1, 2])
    assert on_rows(metric, rows).loss(truth[rows], outputs[rows]) == pytest.approx(2.5)
    assert on_rows(METRICS["mcc"], rows) is METRICS["mcc"]
    with pytest.raises(ValueError, match="costs of 3 rows"):
        metric.loss(truth[rows], outputs[rows])


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ([[0, 1]], "2 rows of 2 numbers"),
        ([[0, 1], [1]], "2 rows of 2 numbers"),
        ([[0, 1], [float("nan"), 0]], "finite"),
        ([[1, 1], [3, 3]], "all decisions cost the same"),
    ],
)
def test_wrong_cost_matrices(costs: list[list[float]], message: str) -> None:
    """The field and the cure are named."""
    with pytest.raises(InvalidFieldError, match=message) as raised:
        cost_matrix_of(costs, 2, "spec.cost_matrix")
    assert raised.value.violations[0].field == "spec.cost_matrix"


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ([1.0, float("nan"), -1.0], "2 are not, the first in row 1"),
        ([0.0, 0.0], "all costs are 0"),
    ],
)
def test_wrong_cost_columns(costs: list[float], message: str) -> None:
    """Missing and negative costs are refused."""
    with pytest.raises(InvalidFieldError, match=message):
        cost_column_of(costs)

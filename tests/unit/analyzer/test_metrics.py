"""Metrics are means over rows, and agree with scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from common.data.schema import Task
from services.analyzer.domain.metrics import (
    METRICS,
    Metric,
    Scorer,
    mean_interval,
    standard_metrics,
)


def outputs_of(seed: int, rows: int, classes: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0.01, 1, (rows, classes))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(20, 60))
@settings(max_examples=25)
def test_classification_agrees_with_scikit_learn(seed: int, classes: int, rows: int) -> None:
    truth = np.random.default_rng(seed).integers(0, classes, rows)
    truth[:classes] = np.arange(classes)
    outputs = outputs_of(seed, rows, classes)
    found = outputs.argmax(axis=1)
    expected = {
        Metric.ACCURACY: reference.accuracy_score(truth, found),
        Metric.BALANCED_ACCURACY: reference.balanced_accuracy_score(truth, found),
        Metric.LOG_LOSS: reference.log_loss(truth, outputs),
    }
    measured = standard_metrics(Task.CLASSIFICATION, truth, outputs)
    for metric, value in expected.items():
        score = Scorer(metric, Task.CLASSIFICATION, truth).score(outputs)
        assert metric.shown(score) == pytest.approx(value)
        assert measured[metric] == pytest.approx(value)


def test_regression_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth, found = generator.normal(size=50), generator.normal(size=(50, 1))
    measured = standard_metrics(Task.REGRESSION, truth, found)
    assert measured["r2"] == pytest.approx(reference.r2_score(truth, found))
    for metric in METRICS[Task.REGRESSION]:
        score = Scorer(metric, Task.REGRESSION, truth).score(found)
        assert metric.shown(score) == pytest.approx(measured[metric])


def test_several_labels_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth, outputs = generator.random((40, 3)) > 0.5, generator.random((40, 3))
    measured = standard_metrics(Task.MULTI_LABEL, truth, outputs)
    assert measured["micro_f1"] == pytest.approx(
        reference.f1_score(truth, outputs >= 0.5, average="micro")
    )
    assert measured["accuracy"] == pytest.approx(
        Scorer(Metric.ACCURACY, Task.MULTI_LABEL, truth).score(outputs)
    )


def test_a_class_that_the_model_does_not_know_is_never_right() -> None:
    truth, outputs = np.array([0, -1]), np.array([[0.9, 0.1], [0.1, 0.9]])
    scorer = Scorer(Metric.ACCURACY, Task.CLASSIFICATION, truth)
    assert scorer.rows(outputs).tolist() == [1.0, 0.0]
    loss = Scorer(Metric.LOG_LOSS, Task.CLASSIFICATION, truth).rows(outputs)
    assert np.isfinite(loss).all() and loss[1] < loss[0]


def test_rows_can_be_chosen() -> None:
    """What depends on all rows, the variance of the target, stays that of all rows."""
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    scorer = Scorer(Metric.R2, Task.REGRESSION, truth)
    outputs = truth[:, None] + 0.5
    chosen = np.array([1, 3])
    assert scorer.rows(outputs[chosen], chosen).tolist() == scorer.rows(outputs)[chosen].tolist()


def test_one_class_has_no_area_under_the_curve() -> None:
    measured = standard_metrics(Task.CLASSIFICATION, np.zeros(5, int), outputs_of(0, 5, 2))
    assert "roc_auc" not in measured and "accuracy" in measured


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        interval = mean_interval(generator.exponential(size=200))
        hits += interval.low <= 1.0 <= interval.high
    assert 0.91 <= hits / 400 <= 0.98


def test_one_row_has_no_width() -> None:
    interval = mean_interval(np.array([0.5]))
    assert interval.low == interval.high == 0.5


def test_a_target_that_never_changes_has_no_variance() -> None:
    """Rounding gives it a variance of 1e-33, which errors must not be divided by."""
    truth, found = np.full(100, 0.1), np.full((100, 1), 0.2)
    assert "r2" not in standard_metrics(Task.REGRESSION, truth, found)
    score = Scorer(Metric.R2, Task.REGRESSION, truth).score(found)
    assert score == pytest.approx(1 - 0.1**2)

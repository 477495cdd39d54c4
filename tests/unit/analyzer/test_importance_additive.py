"""Importance of additive models by adding up: it is what predicting gives, or it is not used."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance import permutation
from services.analyzer.domain.importance.additive import Additive, additive
from services.analyzer.domain.importance.fed import Item, fed
from services.analyzer.domain.importance.plan import Plan, planned
from services.analyzer.domain.metrics import METRICS, Metric
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    numeric_columns,
    sample_of,
    sklearn_model,
    subject_of,
)
from tests.unit.analyzer.activations_support import onnx_analysed
from tests.unit.analyzer.importance_support import reviews
from tests.unit.analyzer.robustness_support import columns_for, subject_with, two_classes

Matrix = npt.NDArray[np.float64]

_AMPLE = 600.0


def _fitted(
    estimator: Any, values: Matrix, truth: npt.NDArray[Any], metric: Metric | None = None
) -> Subject:
    task = Task.CLASSIFICATION if hasattr(estimator, "predict_proba") else Task.REGRESSION
    estimator.fit(values, truth)
    columns = numeric_columns(values, [f"c{n}" for n in range(values.shape[1])])
    sample = sample_of(columns, dict(zip(columns, values.T, strict=True)), truth)
    settings = AnalysisSettings(metric or METRICS[task][0])
    return subject_of(sklearn_model(estimator, columns, task), sample, settings=settings)


def _way(subject: Subject) -> Additive | None:
    rows = fed(subject, subject.sample.raw)
    items = [Item(name, places) for name, places in rows.places.items()]
    return additive(rows, items, subject, Budget(_AMPLE))


def _numbers(subject: Subject) -> Matrix:
    found = permutation.permutation_importance(subject, Budget(_AMPLE), 3)
    return np.array([(each.mean, each.low, each.high) for each in found.items])


def _assert_as_predicted(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, close: float = 1e-9
) -> None:
    assert _way(subject) is not None
    added = _numbers(subject)
    monkeypatch.setattr(permutation, "additive", lambda *_: None)
    np.testing.assert_allclose(added, _numbers(subject), rtol=0, atol=close)


def _estimators() -> Iterator[Any]:
    cancer, iris = load_breast_cancer(return_X_y=True), load_iris(return_X_y=True)
    few = (cancer[0][:, :6], cancer[1])
    # Of 30 columns many probabilities are so near to 0 or 1 that their logit is rounded.
    sure = make_pipeline(StandardScaler(), LogisticRegression())
    splines = make_pipeline(SplineTransformer(4), LogisticRegression())
    for name, estimator, (values, truth) in (
        ("two classes", make_pipeline(StandardScaler(), LogisticRegression()), few),
        ("two classes that are sure", sure, cancer),
        ("three classes", LogisticRegression(max_iter=1000), iris),
        ("naive Bayes of three classes", GaussianNB(), iris),
        ("splines", splines, iris),
        ("naive Bayes", GaussianNB(), few),
        ("ridge", Ridge(), (few[0], few[0] @ np.arange(6) + _noise(len(few[0])))),
    ):
        yield pytest.param(estimator, values, truth, id=name)


def _noise(count: int) -> Matrix:
    return np.random.default_rng(0).normal(size=count)


@pytest.mark.parametrize(("estimator", "values", "truth"), [*_estimators()])
def test_importance_and_interval_are_those_of_predicting(
    estimator: Any, values: Matrix, truth: npt.NDArray[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _assert_as_predicted(_fitted(estimator, values, truth), monkeypatch)


def test_probabilities_are_those_of_predicting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logarithmic loss tells every difference, accuracy few."""
    values, truth = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=1000)
    subject = _fitted(estimator, values, truth, Metric.LOG_LOSS)
    _assert_as_predicted(subject, monkeypatch)


def test_texts_and_categories_of_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vectoriser and a one-hot encoder over named columns, with missing values."""
    _assert_as_predicted(reviews(), monkeypatch)


def test_several_labels_and_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=200), "v": generator.normal(size=(200, 2))}

    def function(columns: Any) -> Any:
        scores = np.column_stack([columns["a"] + columns["v"][:, 0], columns["v"].sum(axis=1)])
        return 1 / (1 + np.exp(-scores))

    truth = (generator.random((200, 2)) < function(values)).astype(np.int64)
    subject = subject_with(function, values, truth, Task.MULTI_LABEL, ("x", "y"))
    _assert_as_predicted(subject, monkeypatch)


def test_onnx_models_within_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=300) for name in "abc"}
    columns = columns_for(values, {})
    weights = generator.normal(size=(3, 3)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = onnx_analysed(nodes, {"w": weights}, x, 3, columns)
    subject = subject_of(model, sample_of(columns, values, generator.integers(0, 3, 300)))
    _assert_as_predicted(subject, monkeypatch, 1e-6)


def test_ties_of_classes_are_left_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are rounded: without care they would break ties by chance, here in many rows."""
    generator = np.random.default_rng(0)
    values = {name: generator.integers(0, 3, 400) / 10 for name in "abc"}

    def function(columns: Any) -> Any:
        return two_classes(columns["a"] - columns["b"] + 2 * columns["c"] - 0.2)

    truth = generator.integers(0, 2, 400)
    subject = subject_with(function, values, truth, Task.CLASSIFICATION, ("no", "yes"))
    _assert_as_predicted(subject, monkeypatch)


def test_a_plan_of_some_rows() -> None:
    """The outputs are of the plan's rows, each with the value of the one that gives it."""
    values, truth = load_breast_cancer(return_X_y=True)
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    subject = _fitted(estimator, values[:, :4], truth)
    plan: Plan = planned(subject, Budget(1.0), 4, 5, 1 / 960)
    assert plan.is_cut
    way = _way(subject)
    assert way is not None and way.seconds_each > 0
    items = [Item(name, places) for name, places in fed(subject, subject.sample.raw).places.items()]
    table, seen = values[plan.rows, :4], 0
    for job in way.jobs(items, plan):
        for each in job():
            new = table[each.rows].copy()
            new[:, each.item] = table[each.givers, each.item]
            np.testing.assert_allclose(each.outputs, estimator.predict_proba(new), atol=1e-9)
            seen += len(each.rows)
    assert seen >= 0.9 * plan.repeats * len(plan.rows) * 4


def _others() -> Iterator[Any]:
    values, truth = load_iris(return_X_y=True)
    products = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(interaction_only=True),
        LogisticRegression(max_iter=1000),
    )
    for name, estimator in (
        ("forest", ExtraTreesClassifier(5, max_depth=4, random_state=0)),
        ("network", MLPClassifier((8,), solver="lbfgs", max_iter=500, random_state=0)),
        ("interactions", products),
    ):
        yield pytest.param(estimator, values, truth, id=name)


@pytest.mark.parametrize(("estimator", "values", "truth"), [*_others()])
def test_models_that_are_not_additive_are_refused(
    estimator: Any, values: Matrix, truth: npt.NDArray[Any]
) -> None:
    assert _way(_fitted(estimator, values, truth)) is None


def test_refusing_costs_next_to_nothing() -> None:
    predicted = []
    values = {name: np.random.default_rng(3).normal(size=5000) + n for n, name in enumerate("abcd")}

    def function(columns: Any) -> Any:
        predicted.append(len(columns["a"]))
        return columns["a"] * columns["b"] + columns["c"]

    subject = subject_with(function, values, np.ones(5000))
    subject.row_scores  # noqa: B018 - what is predicted before
    predicted.clear()
    assert _way(subject) is None
    assert sum(predicted) <= 200


def test_what_few_rows_show_is_found_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interaction of one row in a thousand: all rows are compared, and the model predicts."""
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=4000) for name in "ab"}
    odd = np.flatnonzero(values["a"] > 3)

    def function(columns: Any) -> Any:
        return columns["a"] + columns["b"] + 100 * (columns["a"] > 3) * (columns["b"] > 0)

    assert 0 < len(odd) < 20
    subject = subject_with(function, values, function(values))
    _assert_as_predicted(subject, monkeypatch, 0)


def test_classes_without_probabilities_are_refused() -> None:
    def function(columns: Any) -> Any:
        return np.eye(2)[(columns["a"] + columns["b"] > 0).astype(int)]

    values = {name: np.random.default_rng(n).normal(size=200) for n, name in enumerate("ab")}
    truth = np.arange(200) % 2
    assert _way(subject_with(function, values, truth, Task.CLASSIFICATION, ("n", "y"))) is None

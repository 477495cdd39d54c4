"""Permutation importance: what it comes to, its intervals, and its shortcuts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.inspection import permutation_importance as sklearns
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.importance.fed import Item, fed
from services.analyzer.domain.importance.forest import forest_of
from services.analyzer.domain.importance.permutation import permutation_importance
from services.analyzer.domain.importance.plan import Importance, planned
from services.analyzer.domain.importance.walked import Walking, walking
from services.analyzer.domain.metrics import METRICS, Metric
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    numeric_columns,
    sample_of,
    sklearn_model,
    subject_of,
    trained_mlp,
)
from tests.unit.analyzer.activations_support import onnx_analysed
from tests.unit.analyzer.robustness_support import (
    columns_for,
    subject_with,
    two_classes,
    without_truth,
)

Matrix = npt.NDArray[np.float64]

_AMPLE = 600.0


def _by_name(subject: Subject, **options: Any) -> dict[str, Importance]:
    found = permutation_importance(subject, Budget(_AMPLE), **options)
    return {each.name: each for each in found.items}


def _fitted(estimator: Any, values: Matrix, truth: npt.NDArray[Any], task: Task) -> Subject:
    estimator.fit(values, truth)
    columns = numeric_columns(np.nan_to_num(values), [f"c{n}" for n in range(values.shape[1])])
    sample = sample_of(columns, dict(zip(columns, values.T, strict=True)), truth)
    return subject_of(sklearn_model(estimator, columns, task), sample)


def _with_gaps(values: Matrix) -> Matrix:
    gaps = np.random.default_rng(1).random(values.shape) < 0.1
    return np.where(gaps, np.nan, values)


def _tree_subjects() -> Iterator[Any]:
    iris, diabetes = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
    two = (iris[0], (iris[1] > 0).astype(np.int64))
    holes = (_with_gaps(iris[0]), iris[1])
    few: dict[str, Any] = {"n_estimators": 5, "random_state": 0}
    for name, estimator, (values, truth) in (
        ("histograms", HistGradientBoostingClassifier(max_iter=5), two),
        ("histograms of three classes", HistGradientBoostingClassifier(max_iter=5), iris),
        ("histograms with gaps", HistGradientBoostingClassifier(max_iter=5), holes),
        (
            "histograms of counts",
            HistGradientBoostingRegressor(loss="poisson", max_iter=5),
            diabetes,
        ),
        ("forest", RandomForestClassifier(**few), iris),
        ("forest with gaps", RandomForestClassifier(**few), holes),
        ("forest of numbers", RandomForestRegressor(**few), diabetes),
        ("extra trees", ExtraTreesClassifier(**few), iris),
        ("extra trees of numbers", ExtraTreesRegressor(**few), diabetes),
        ("boosting", GradientBoostingClassifier(**few), two),
        ("boosting of three classes", GradientBoostingClassifier(**few), iris),
        ("boosting from zero", GradientBoostingRegressor(init="zero", **few), diabetes),
        ("tree", DecisionTreeClassifier(max_depth=3), iris),
        ("tree of numbers", DecisionTreeRegressor(max_depth=4), diabetes),
    ):
        task = Task.CLASSIFICATION if hasattr(estimator, "predict_proba") else Task.REGRESSION
        yield pytest.param(estimator, values, truth, task, id=name)


def _walking(subject: Subject) -> Walking:
    rows = fed(subject, subject.sample.raw)
    items = [Item(name, places) for name, places in rows.places.items()]
    way = walking(rows, items, subject.outputs)
    assert way is not None
    return way


@pytest.mark.parametrize(("estimator", "values", "truth", "task"), [*_tree_subjects()])
def test_trees_walked_again_give_what_the_model_gives(
    estimator: Any, values: Matrix, truth: npt.NDArray[Any], task: Task
) -> None:
    subject = _fitted(estimator, values, truth, task)
    names = subject.model.features
    items = [Item(name, ()) for name in names]
    plan = planned(subject, Budget(_AMPLE), len(items), 2, 1e-9)
    seen = 0
    for job in _walking(subject).jobs(items, plan):
        for each in job():
            exchanged = values[each.rows].copy()
            exchanged[:, each.item] = values[each.givers, each.item]
            expected = _model_outputs(estimator, exchanged)
            np.testing.assert_allclose(each.outputs, expected, rtol=1e-9, atol=1e-9)
            seen += len(each.rows)
    assert seen > 0


def _model_outputs(estimator: Any, values: Matrix) -> Matrix:
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(values))
    return np.asarray(estimator.predict(values)).reshape(-1, 1)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 4), st.integers(1, 3))
def test_what_is_not_walked_again_would_not_change(
    seed: int, count: int, width: int, distinct: int
) -> None:
    """Few distinct values, ties and gaps: rows that are left out keep their outputs."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, distinct + 1, (count, width)).astype(np.float64)
    values[generator.random(values.shape) < 0.2] = np.nan
    truth = generator.normal(size=count)
    estimator = RandomForestRegressor(3, random_state=0)
    subject = _fitted(estimator, values, truth, Task.REGRESSION)
    plan = planned(subject, Budget(_AMPLE), width, 2, 1e-9)
    outputs = np.repeat(subject.outputs[None, :, 0], width * 2, axis=0).reshape(width, 2, -1)
    for job in _walking(subject).jobs([Item(f"c{n}", ()) for n in range(width)], plan):
        for each in job():
            repeats = (plan.orders[:, each.rows] == each.givers).argmax(axis=0)
            outputs[each.item, repeats, each.rows] = each.outputs[:, 0]
    for item in range(width):
        for repeat, order in enumerate(plan.orders):
            exchanged = values.copy()
            exchanged[:, item] = values[order, item]
            expected = estimator.predict(exchanged)
            same = (plan.orders == order).sum(axis=0) == 1
            np.testing.assert_allclose(outputs[item, repeat][same], expected[same], atol=1e-9)


def test_categories_of_histogram_boosting_are_left_to_the_model() -> None:
    values = np.random.default_rng(0).integers(0, 4, (200, 2)).astype(np.float64)
    truth = (values[:, 0] % 2).astype(np.int64)
    estimator = HistGradientBoostingClassifier(categorical_features=[0], max_iter=5)
    subject = _fitted(estimator, values, truth, Task.CLASSIFICATION)
    assert forest_of(estimator) is None
    found = _by_name(subject)
    assert found["c0"].mean > 0.3 and found["c1"].mean == 0


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=10),
        MLPClassifier((8,), solver="lbfgs", max_iter=300),
    ],
)
def test_scikit_learns_importance_lies_within_the_intervals(estimator: Any) -> None:
    values, truth = load_iris(return_X_y=True)
    subject = _fitted(estimator, values, truth, Task.CLASSIFICATION)
    theirs = sklearns(estimator, values, truth, n_repeats=20, random_state=1).importances_mean
    for ours, mean in zip(_by_name(subject, repeats=20).values(), theirs, strict=True):
        assert ours.low - 1e-9 <= mean <= ours.high + 1e-9


def test_a_column_that_is_not_used_has_no_importance_at_all() -> None:
    subject = subject_with(
        lambda columns: 2 * columns["used"],
        {"used": np.arange(50.0), "idle": np.arange(50.0) % 7, "constant": np.ones(50)},
        2 * np.arange(50.0),
    )
    found = _by_name(subject)
    assert found["used"].mean == pytest.approx(2.0, abs=0.5)  # twice the variance is unexplained
    for name in ("idle", "constant"):
        assert (found[name].mean, found[name].low, found[name].high) == (0, 0, 0)


def test_intervals_hold_what_they_promise() -> None:
    """Of many samples about 95 % have an interval that holds the true importance."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(150):
        values, noise = generator.normal(size=100), generator.normal(size=100)
        subject = subject_with(
            lambda columns: columns["x"],
            {"x": values},
            values + noise,
            metric=Metric.MEAN_ABSOLUTE_ERROR,
        )
        found = _by_name(subject)["x"]
        # |x' - x - noise| has the deviation of three, |noise| of one normal variable.
        true = np.sqrt(2 / np.pi) * (np.sqrt(3) - 1)
        hits += found.low <= true <= found.high
    assert 0.9 <= hits / 150 <= 0.995


def test_rows_that_keep_their_value_are_not_predicted_again() -> None:
    predicted = []
    values = np.zeros(1000)
    values[:10] = 1

    def function(columns: Any) -> Any:
        predicted.append(len(columns["x"]))
        return columns["x"]

    subject = subject_with(function, {"x": values}, values)
    subject.row_scores, subject.seconds_per_row  # noqa: B018 - what is predicted before
    predicted.clear()
    permutation_importance(subject, Budget(_AMPLE))
    assert sum(predicted[1:]) <= 5 * 20  # the first is timed


def test_columns_of_all_types() -> None:
    """Numbers with gaps, categories, texts and vectors: what decides is found."""
    count = 120
    generator = np.random.default_rng(0)
    kinds = generator.integers(-1, 3, count).astype(np.int32)
    texts = np.array([None if n % 5 == 0 else "ab"[n % 2] for n in range(count)], dtype=object)
    gaps = np.where(generator.random(count) < 0.3, np.nan, generator.normal(size=count))
    values = {
        "kind": kinds,
        "text": texts,
        "gaps": gaps,
        "vector": generator.normal(size=(count, 3)),
    }

    def function(columns: Any) -> Any:
        is_a = np.array([each == "a" for each in columns["text"]], np.float64)
        return (
            3 * (columns["kind"] == 1)
            + 2 * is_a
            + np.isnan(columns["gaps"])
            + columns["vector"].sum(axis=1)
        )

    subject = subject_with(
        function, values, np.asarray(function(values), np.float64), labels={"kind": "xyz"}
    )
    assert all(each.low > 0 for each in _by_name(subject).values())


@pytest.mark.parametrize("metric", METRICS[Task.CLASSIFICATION])
def test_every_metric_falls_when_what_decides_is_permuted(metric: Metric) -> None:
    values = np.random.default_rng(0).normal(size=(2, 300))
    subject = subject_with(
        lambda columns: two_classes(3 * columns["a"]),
        {"a": values[0], "b": values[1]},
        (values[0] > 0).astype(np.int64),
        Task.CLASSIFICATION,
        ("no", "yes"),
        metric=metric,
    )
    found = _by_name(subject)
    assert found["a"].low > 0 and found["b"].mean == 0


def test_a_small_budget_uses_fewer_repeats_and_rows_and_says_so() -> None:
    subject = breast_cancer()
    plan = planned(subject, Budget(1.0), 30, 5, 1.0 / (30 * 2 * 120))
    assert plan.repeats == 2
    assert 115 <= len(plan.rows) <= 120
    assert "of 190 rows and 2 of 5 repeats" in plan.notes[0]
    small = permutation_importance(subject, Budget(0))
    assert small.rows == 100 and small.notes


def test_the_same_seed_gives_the_same_numbers() -> None:
    subject = breast_cancer()
    assert _by_name(subject) == _by_name(subject)


def test_networks_of_the_trainer(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=10)
    found = _by_name(subject)
    name, largest = max(found.items(), key=lambda each: each[1].mean)
    order = np.random.default_rng(5).permutation(subject.sample.count)
    permuted = with_column(subject.sample.raw, name, subject.sample.raw.columns[name][order])
    fall = subject.row_scores.mean() - subject.scorer.score(subject.predict(permuted))
    assert largest.low <= fall <= largest.high


def test_onnx_models() -> None:
    """A matrix of three columns of which one is of vectors and one has no weight."""
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=80), "v": generator.normal(size=(80, 2)), "b": np.ones(80)}
    columns = columns_for(values, {})
    weights = np.array([[1.0], [0.5], [0.5], [0.0]], np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = onnx_analysed(nodes, {"w": weights}, x, 1, columns)
    truth = values["a"] + values["v"].sum(axis=1) / 2
    found = _by_name(subject_of(model, sample_of(columns, values, truth)))
    assert found["a"].low > 0 and found["v"].low > 0 and found["b"].mean == 0


def test_without_truth_or_with_one_row_there_is_none() -> None:
    subject = breast_cancer()
    with pytest.raises(NotApplicableError, match="no target"):
        permutation_importance(without_truth(subject), Budget(1))
    single = subject_with(lambda columns: columns["x"], {"x": np.ones(1)}, np.ones(1))
    with pytest.raises(NotApplicableError, match="2 rows"):
        permutation_importance(single, Budget(1))


def test_settings_choose_the_metric() -> None:
    subject = breast_cancer()
    other = subject_of(
        subject.model, subject.sample, settings=AnalysisSettings(Metric.LOG_LOSS, seed=3)
    )
    assert _by_name(other) != _by_name(subject)

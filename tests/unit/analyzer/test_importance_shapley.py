"""Shapley values: they add up, and are those of the definition."""

from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.contributions import (
    single_rows,
    swarm_of,
    told_singles,
    wanted_rows,
)
from services.analyzer.domain.importance.shapley import Explainer, Shapley, shapley_values
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    diabetes,
    iris,
    numeric_columns,
    sample_of,
    sklearn_model,
    subject_of,
    trained_mlp,
)
from tests.unit.analyzer.importance_support import reviews
from tests.unit.analyzer.robustness_support import subject_with, two_classes

_AMPLE = 600.0


def _values(subject: Subject, rows: int = 12) -> Shapley:
    return shapley_values(subject, Budget(_AMPLE), np.arange(min(rows, subject.sample.count)))


def _subject(estimator: Any, data: Any, task: Task) -> Subject:
    values, truth = data(return_X_y=True)
    estimator.fit(values, truth)
    columns = numeric_columns(values, [f"c{place}" for place in range(values.shape[1])])
    sample = sample_of(columns, dict(zip(columns, values.T, strict=True)), truth)
    return subject_of(sklearn_model(estimator, columns, task), sample)


def _sums(found: Shapley) -> npt.NDArray[np.float64]:
    return np.asarray(found.start + found.values.sum(axis=1))


@pytest.mark.parametrize(
    ("estimator", "explainer"),
    [
        (HistGradientBoostingClassifier(max_iter=5), Explainer.TREE),
        (RandomForestClassifier(5, random_state=0), Explainer.TREE),
        (GradientBoostingClassifier(n_estimators=5), Explainer.PERMUTATION),
        (LogisticRegression(max_iter=500), Explainer.LINEAR),
    ],
)
def test_contributions_of_classes_add_up_to_the_predicted_ones_output(
    estimator: Any, explainer: Explainer
) -> None:
    subject = _subject(estimator, load_iris, Task.CLASSIFICATION)
    found = shapley_values(subject, Budget(_AMPLE), np.arange(0, 150, 12))
    assert found.explainer is explainer
    classes = subject.outputs.argmax(axis=1)[found.rows]
    assert found.outputs.tolist() == classes.tolist()
    outputs = subject.outputs
    if found.unit != "probability":
        outputs = estimator.decision_function(
            np.column_stack([*subject.sample.raw.columns.values()])
        )
    np.testing.assert_allclose(_sums(found), outputs[found.rows, classes], atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "explainer"),
    [
        (Ridge(), Explainer.LINEAR),
        (RandomForestRegressor(5, random_state=0), Explainer.TREE),
        (PoissonRegressor(max_iter=500), Explainer.PERMUTATION),
    ],
)
def test_contributions_of_numbers_add_up_to_the_output(
    estimator: Any, explainer: Explainer
) -> None:
    subject = _subject(estimator, load_diabetes, Task.REGRESSION)
    found = _values(subject)
    assert found.explainer is explainer
    np.testing.assert_allclose(_sums(found), subject.outputs[found.rows, 0], rtol=1e-6)


def test_of_two_classes_the_second_one_is_explained() -> None:
    found = _values(breast_cancer())
    assert set(found.outputs.tolist()) == {1}
    assert found.unit == "log-odds"


def test_permutations_give_the_values_of_the_definition() -> None:
    """An interaction of two columns and one alone: all orders of three columns give the same."""
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=30) for name in "abc"}

    def function(columns: Any) -> Any:
        return columns["a"] * columns["b"] + 2 * columns["c"]

    subject = subject_with(function, values, function(values))
    found = _values(subject, 5)
    background = subject.sample.drawn(50, 0).raw.columns
    for place in range(5):
        own = {name: values[name][place] for name in "abc"}
        expected = [_exact(function, own, background, name) for name in "abc"]
        np.testing.assert_allclose(found.values[place], expected, atol=1e-9)


def _exact(function: Any, own: Any, background: Any, name: str) -> float:
    """Returns a Shapley value by its definition."""
    others = [each for each in own if each != name]
    total = 0.0
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(own) - size - 1) / factorial(len(own))
        for taken in combinations(others, size):
            without = function(_mixed(own, background, taken)).mean()
            total += weight * (function(_mixed(own, background, (*taken, name))).mean() - without)
    return total


def _mixed(own: Any, background: Any, taken: Any) -> Any:
    count = len(background["a"])
    return {name: np.full(count, own[name]) if name in taken else background[name] for name in own}


def test_networks_are_explained(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=5)
    found = _values(subject)
    assert found.explainer is Explainer.PERMUTATION and found.unit == "probability"
    np.testing.assert_allclose(_sums(found), subject.outputs[found.rows, 1], atol=1e-6)


def test_texts_and_categories_are_explained() -> None:
    subject = reviews()
    found = _values(subject)
    np.testing.assert_allclose(_sums(found), subject.outputs[found.rows, 1], atol=1e-9)
    sizes = dict(zip(found.names, np.abs(found.values).mean(axis=0), strict=True))
    assert sizes["text"] > sizes["kind"] > 0


def test_columns_of_vectors_are_explained_as_a_whole() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 6))
    subject = subject_with(
        lambda columns: two_classes(columns["v"].sum(axis=1)),
        {"v": vectors, "x": np.zeros(40)},
        (vectors.sum(axis=1) > 0).astype(np.int64),
        Task.CLASSIFICATION,
        ("0", "1"),
    )
    found = _values(subject)
    assert found.names == ("v", "x")
    np.testing.assert_allclose(found.values[:, 1], 0, atol=1e-12)


def test_a_small_budget_explains_fewer_rows_and_says_so() -> None:
    found = shapley_values(diabetes(), Budget(0), np.arange(100))
    assert len(found.rows) == 2
    assert found.notes == ("For the budget, Shapley values are of 2 instead of 100 rows.",)


def test_single_rows_are_the_least_sure_and_the_worst() -> None:
    subject = iris()
    wanted = single_rows(subject)
    least = int(subject.outputs.max(axis=1).argmin())
    assert wanted[least].endswith("least sure of")
    rows = wanted_rows(subject, np.array(list(wanted)))
    assert sorted(rows.tolist()) == list(range(50))
    found = shapley_values(subject, Budget(_AMPLE), rows)
    singles = told_singles(subject, found, wanted)
    assert [each.why for each in singles] == list(wanted.values())
    swarm = swarm_of(subject, found, len(singles))
    assert swarm.values.shape == (len(rows) - len(wanted), 4)
    assert np.nanmin(swarm.levels) == 0 and np.nanmax(swarm.levels) == 1

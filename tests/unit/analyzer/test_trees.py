"""Trees of estimators: each is counted once, and its columns are those of the data."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.structure.trees import trees_of
from services.analyzer.domain.weights import PART
from services.analyzer.domain.weights.analysis import analyse_weights
from services.analyzer.domain.weights.findings import WeightsFindings
from tests.unit.analyzer.test_weights import fitted


def found_in(estimator: Any) -> WeightsFindings:
    return analyse_weights(fitted(estimator), Budget(30))


def tree(depth: int = 2) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=depth, random_state=0)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(3, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "count"),
    [
        (VotingClassifier([("a", tree()), ("b", tree(3))]), 2),
        (VotingClassifier([("a", forest()), ("b", forest())]), 6),
        (OneVsRestClassifier(tree()), 3),
        (OneVsRestClassifier(forest()), 9),
        (BaggingClassifier(forest(), n_estimators=2, random_state=0), 6),
        (AdaBoostClassifier(tree(), n_estimators=2), 2),
        (GradientBoostingClassifier(n_estimators=4), 12),
    ],
    ids=lambda each: type(each).__name__,
)
def test_each_tree_is_counted_once(estimator: Any, count: int) -> None:
    trees = found_in(estimator).summary.trees
    assert trees is not None
    assert trees.tree_count == count


def test_members_that_see_some_columns_split_on_those() -> None:
    """Bagging numbers the columns of each member anew."""
    generator = np.random.default_rng(0)
    table = generator.normal(size=(200, 6))
    estimator = BaggingClassifier(tree(), n_estimators=8, max_features=0.5, random_state=0)
    estimator.fit(table, table[:, 5] > 0)
    for found, drawn in zip(trees_of(estimator), estimator.estimators_features_, strict=True):
        assert set(found.columns.tolist()) <= set(drawn.tolist())
        assert found.columns[0] == 5 or 5 not in drawn


def test_steps_with_different_columns_are_told() -> None:
    wide = make_pipeline(PolynomialFeatures(), forest())
    found = found_in(VotingClassifier([("wide", wide), ("plain", forest())]))
    assert found.summary.trees is not None
    assert all(each.column.startswith("column ") for each in found.summary.trees.splits)
    assert any("different columns" in note for note in found.notes)


def test_one_tree_is_told_as_one() -> None:
    [told, *_] = PART.show(found_in(tree(1))).parts
    assert isinstance(told, str)
    assert told.startswith("One tree with 2 leaves; ")
    assert told.endswith(" is split on most often, 3 columns never.")

"""Trees with fewer nodes, forests with fewer trees: they answer as foretold, and nearly as well."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from services.pruner.domain.trees.collapsing import Branches, rebuilt
from services.pruner.domain.trees.forest import smaller_forest


def noisy(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, 4)).astype(np.float32)
    truth = (features[:, 0] + generator.normal(size=rows) > 0).astype(int)
    return features, truth


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100), share=st.floats(0, 1), rows=st.integers(20, 200))
def test_a_collapsed_tree_answers_by_what_stands_for_its_leaves(
    seed: int, share: float, rows: int
) -> None:
    """What is foretold of a price is what scikit-learn then does with the tree that is built."""
    features, truth = noisy(rows, seed)
    tree = DecisionTreeClassifier(random_state=seed).fit(features, truth).tree_
    branches = Branches(tree)
    found = branches.collapsed(float(np.quantile(branches.gains(), share)))
    new = rebuilt(tree, found)
    other, _ = noisy(50, seed + 1)
    foretold = tree.value[found.stands_for[tree.apply(other)]][:, 0]
    assert new.node_count == len(found.kept)
    assert np.array_equal(new.predict(other).reshape(foretold.shape), foretold)


def test_prices_are_those_of_minimal_cost_complexity_pruning() -> None:
    """The same leaves as scikit-learn's own pruning leaves, along its whole path."""
    features, truth = noisy(150, 0)
    model = DecisionTreeClassifier(random_state=0)
    tree = model.fit(features, truth).tree_
    branches = Branches(tree)
    path = model.cost_complexity_pruning_path(features, truth)
    steps = np.unique(path.ccp_alphas.round(12))
    for price in (steps[1:] + steps[:-1]) / 2:
        own = branches.collapsed(price)
        theirs = DecisionTreeClassifier(random_state=0, ccp_alpha=price).fit(features, truth)
        assert len(own.kept) == theirs.tree_.node_count


def test_a_forest_becomes_many_times_smaller_and_hardly_worse() -> None:
    features, truth = load_breast_cancer(return_X_y=True)
    learned, others, own, rest = train_test_split(features, truth, random_state=0)
    judged, unseen, known, wanted = train_test_split(others, rest, random_state=0)
    forest = RandomForestClassifier(200, random_state=0).fit(learned, own)
    found = smaller_forest(forest, judged.astype(np.float32), known)
    assert found.before == sum(each.tree_.node_count for each in forest.estimators_)
    assert found.nodes == sum(each.tree_.node_count for each in found.estimator.estimators_)
    assert found.before > 4 * found.nodes
    assert found.loss <= 1.02 * found.full_loss
    shares = found.estimator.predict_proba(judged)
    brier = np.square(shares - (known[:, None] == forest.classes_)).sum(axis=1).mean()
    assert brier == pytest.approx(found.loss)
    assert found.estimator.score(unseen, wanted) >= forest.score(unseen, wanted) - 0.05
    assert len(forest.estimators_) == 200, "the original stays as it is"


def test_a_forest_of_values() -> None:
    features, truth = load_diabetes(return_X_y=True)
    forest = ExtraTreesRegressor(100, random_state=0).fit(features[:300], truth[:300])
    judged, known = features[300:].astype(np.float32), truth[300:]
    found = smaller_forest(forest, judged, known)
    error = np.square(found.estimator.predict(judged) - known).mean()
    assert error == pytest.approx(found.loss)
    assert error <= 1.02 * found.full_loss
    assert found.nodes < found.before

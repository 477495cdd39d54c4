"""Trees with fewer nodes: they answer as foretold, and cost what the theory says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from services.pruner.domain.classical.forests import splits_of
from services.pruner.domain.trees.collapsing import Branches, rebuilt
from services.pruner.domain.trees.likely_rows import likely_rows
from services.pruner.domain.trees.refitting import SumFit, TreeFit
from services.pruner.domain.trees.risk import regret_of


def noisy(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, 4)).astype(np.float32)
    truth = (features[:, 0] + generator.normal(size=rows) > 0).astype(int)
    return features, truth


@settings(max_examples=30)
@given(seed=st.integers(0, 100), share=st.floats(0, 1), rows=st.integers(20, 200))
def test_a_collapsed_tree_answers_by_what_stands_for_its_leaves(
    seed: int, share: float, rows: int
) -> None:
    """What is foretold of a price is what scikit-learn then does with the tree that is built."""
    features, truth = noisy(rows, seed)
    tree = DecisionTreeClassifier(random_state=seed).fit(features, truth).tree_
    branches = Branches(tree)
    found = branches.collapsed(float(np.quantile(branches.gains(), share)))
    new = rebuilt(tree, found.kept)
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
    assert len(steps) > 2
    for price in (steps[1:] + steps[:-1]) / 2:
        own = branches.collapsed(price)
        theirs = DecisionTreeClassifier(random_state=0, ccp_alpha=price).fit(features, truth)
        assert len(own.kept) == theirs.tree_.node_count


@settings(max_examples=20)
@given(seed=st.integers(0, 100), price=st.floats(0, 3))
def test_probabilities_of_a_fitted_tree_are_probabilities(seed: int, price: float) -> None:
    """Whatever the targets are, no leaf answers with less than 0 or with another sum than 1."""
    features, truth = noisy(100, seed)
    tree = DecisionTreeClassifier(random_state=seed).fit(features, truth).tree_
    fit = TreeFit(splits_of(tree), tree.apply(features), np.ones((100, 2)), True)
    fit.fit(np.random.default_rng(seed).normal(size=(100, 2)), price)
    assert fit.now.values.min() >= 0
    assert np.allclose(fit.now.values.sum(axis=1), 1)


def test_trees_that_stay_make_up_for_those_that_are_gone() -> None:
    """Sweeps bring two trees nearer to what ten trees add up to, and price takes leaves away."""
    features, _ = noisy(400, 0)
    truth = np.sin(2 * features[:, 0]) + features[:, 1]
    trees = [
        DecisionTreeRegressor(max_leaf_nodes=20, max_features=2, random_state=seed)
        .fit(features, truth)
        .tree_
        for seed in range(10)
    ]
    wanted = np.mean([each.predict(features).reshape(-1, 1) for each in trees], axis=0)

    def far(price: float) -> tuple[float, int]:
        some = [
            TreeFit(splits_of(each), each.apply(features), np.ones((400, 1)), False)
            for each in trees[:2]
        ]
        fit = SumFit(some, 0.5, wanted, lambda: None)
        for _ in range(3):
            found = fit.sweep(price)
        answers = sum(
            0.5 * own.answers(each.apply(features)) for own, each in zip(found, trees, strict=False)
        )
        return float(np.square(answers - wanted).mean()), sum(len(each.kept) for each in found)

    plain = np.mean([each.predict(features).reshape(-1, 1) for each in trees[:2]], axis=0)
    assert far(0)[0] < 0.85 * np.square(plain - wanted).mean()
    assert far(0)[1] > far(10)[1] > 2


def test_made_rows_keep_to_the_values_of_each_column() -> None:
    """No value comes up that its column does not have, a missing one stays missing."""
    features = np.column_stack([np.arange(30.0), np.repeat([0.0, np.nan], 15)])
    found = likely_rows(features, 0)
    assert set(found.features[:, 0]) <= set(range(30))
    assert np.isnan(found.features[:, 1]).any()
    parents = found.features[: len(found.parents)]
    assert np.array_equal(parents, features[found.parents], equal_nan=True)
    again, other = (likely_rows(features, seed).features for seed in (0, 1))
    assert np.array_equal(found.features, again, equal_nan=True)
    assert not np.array_equal(found.features, other, equal_nan=True)
    assert len(likely_rows(features, 0, 700).features) == 30 + 700


def drawn_shares(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities of three classes and a truth that is drawn from them, 1 and 0."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(3), rows)
    drawn = (generator.random((rows, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return shares, np.eye(3)[drawn]


def blurred(shares: np.ndarray, seed: int) -> np.ndarray:
    noise = np.exp(np.random.default_rng(seed).normal(size=shares.shape, scale=0.7))
    mixed = shares * noise
    return np.asarray(mixed / mixed.sum(axis=1, keepdims=True))


def test_regret_foretells_what_accuracy_is_lost() -> None:
    """It is nearer to the loss on many rows than a few rows' truth, and within its own error."""
    shares, truth = drawn_shares(25_000, 0)
    worse = blurred(shares, 1)
    rows = np.arange(len(truth))
    lost = truth[rows, shares.argmax(axis=1)] - truth[rows, worse.argmax(axis=1)]
    parts = np.split(rows, 25)
    found = [regret_of(shares[each], worse[each], truth[each]) for each in parts]
    off = np.array([each.mean for each in found]) - lost.mean()
    plain = np.array([lost[each].mean() for each in parts]) - lost.mean()
    assert np.square(off).mean() < 0.5 * np.square(plain).mean()
    assert (np.abs(off) < [2 * each.error for each in found]).mean() > 0.8


def test_one_that_is_better_than_the_original_is_not_regretted() -> None:
    """The truth tells which of two to believe: the same answers count as a gain."""
    shares, truth = drawn_shares(2_000, 0)
    assert regret_of(blurred(shares, 1), shares, truth).mean < 0
    assert regret_of(shares, blurred(shares, 1), truth).mean > 0


@settings(max_examples=20)
@given(seed=st.integers(0, 100), rows=st.integers(1, 6), is_sure=st.booleans())
def test_few_rows_leave_much_doubt(seed: int, rows: int, is_sure: bool) -> None:
    """One row or a few, answers of 0 and 1: a number comes, and its error is not small."""
    shares, truth = drawn_shares(rows, seed)
    first = np.eye(3)[shares.argmax(axis=1)] if is_sure else shares
    other = blurred(shares, seed)[:, ::-1]
    found = regret_of(first, other, truth)
    assert -1 <= found.mean <= 1
    is_same = (first.argmax(axis=1) == other.argmax(axis=1)).all()
    assert found.error == 0 if is_same else found.error > 0.01

"""Estimators that become smaller: of the same class, nearly as good, and still kept by skops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_friedman1
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import scale
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.models.skops_import import skops_io
from common.models.skops_model import open_skops
from services.pruner.domain.classical.reduction import Reduced, Rows, can_reduce, reductions

pytestmark = pytest.mark.slow

BINARY, MANY, NUMBERS = load_breast_cancer, load_iris, load_diabetes
KINDS = [
    (RandomForestClassifier(60, random_state=0), BINARY),
    (ExtraTreesRegressor(60, random_state=0), NUMBERS),
    (DecisionTreeClassifier(random_state=0), BINARY),
    (DecisionTreeRegressor(random_state=0), NUMBERS),
    (GradientBoostingClassifier(n_estimators=20, random_state=0), MANY),
    (GradientBoostingRegressor(n_estimators=60, random_state=0), NUMBERS),
    (HistGradientBoostingClassifier(max_iter=60, random_state=0), BINARY),
    (HistGradientBoostingRegressor(max_iter=60, loss="poisson", random_state=0), NUMBERS),
    (LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1), BINARY),
    (LGBMRegressor(n_estimators=60, verbose=-1, n_jobs=1), NUMBERS),
    (LogisticRegression(max_iter=1000), BINARY),
    (Ridge(), NUMBERS),
    (Lasso(0.01), NUMBERS),
    (SGDClassifier(random_state=0), BINARY),
    (LinearSVC(), MANY),
    (KNeighborsClassifier(), BINARY),
    (KNeighborsRegressor(), NUMBERS),
    (SVC(probability=False), BINARY),
    (SVC(C=10), MANY),
    (SVR(C=100), NUMBERS),
]


def parts(load: Any, seed: int = 0) -> list[Rows]:
    """Returns rows to learn from, to judge by and to test by."""
    features, truth = load(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(truth))
    features = scale(features)
    return [Rows(features[own], truth[own]) for own in np.array_split(order, 3)]


def reduced(estimator: Any, learned: Rows, held_out: Rows) -> list[Reduced]:
    return list(reductions(estimator, learned, held_out, 0, lambda: None))


@pytest.mark.parametrize(("model", "load"), KINDS, ids=lambda each: type(each).__name__)
def test_each_kind_becomes_smaller_and_stays_what_it_is(model: Any, load: Any) -> None:
    """Each is of the same class, loads again with the same answers; a careful one is good."""
    learned, held_out, rest = parts(load)
    model = model.fit(learned.features, learned.truth)
    full, answers = model.score(rest.features, rest.truth), model.predict(rest.features)
    found = reduced(model, learned, held_out)
    assert found, "nothing became smaller"
    for each in found:
        assert each.size < each.before
        assert all(note.endswith(".") for note in each.notes)
        assert type(each.estimator) is type(model)
        assert each.estimator.n_features_in_ == model.n_features_in_
        loaded = open_skops(skops_io.dumps(each.estimator), "model").estimator
        own = each.estimator.predict(rest.features)
        assert np.array_equal(loaded.predict(rest.features), own)
    assert found[0].estimator.score(rest.features, rest.truth) >= full - 0.07
    sizes = [each.size for each in found]
    assert sizes == sorted(sizes, reverse=True), "careful ones come first"
    assert np.array_equal(model.predict(rest.features), answers), "the original stays as it is"


def test_the_most_careful_forest_of_values_loses_next_to_nothing() -> None:
    """A default of a hundredth of the error must be within reach, and still be worth it."""
    features, truth = make_friedman1(4000, noise=1.0, random_state=0)
    learned, held_out, test = (slice(0, 1500), slice(1500, 2500), slice(2500, None))
    forest = RandomForestRegressor(100, random_state=0).fit(features[learned], truth[learned])
    own, others = (Rows(features[each], truth[each]) for each in (learned, held_out))
    careful, *bolder = reductions(forest, own, others, 0, lambda: None)
    assert careful.before > 10 * careful.size
    before, after = (
        np.square(each.predict(features[test]) - truth[test]).mean()
        for each in (forest, careful.estimator)
    )
    assert after < 1.02 * before
    assert all(each.size < careful.size for each in bolder)


def test_sizes_are_what_is_left() -> None:
    """The nodes that are told are those of the trees that are there."""
    learned, held_out, _ = parts(BINARY)
    forest = RandomForestClassifier(50, random_state=0).fit(learned.features, learned.truth)
    found = reduced(forest, learned, held_out)
    assert found
    for each in found:
        assert each.size == sum(tree.tree_.node_count for tree in each.estimator.estimators_)
        shares = each.estimator.predict_proba(held_out.features)
        assert shares.min() >= 0
        assert np.allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("boosting", [HistGradientBoostingClassifier, LGBMClassifier])
def test_missing_values_and_names(boosting: Any) -> None:
    """Boosted trees over a data frame with gaps keep its names and take gaps."""
    learned, held_out, rest = parts(BINARY)
    names = [f"c{place}" for place in range(30)]

    def frame(rows: Rows) -> Rows:
        table = pd.DataFrame(rows.features, columns=names)
        return Rows(table.mask(np.random.default_rng(0).random(table.shape) < 0.1), rows.truth)

    learned, held_out, rest = frame(learned), frame(held_out), frame(rest)
    model = boosting(random_state=0).fit(learned.features, learned.truth)
    found = reduced(model, learned, held_out)
    assert found
    assert list(found[-1].estimator.feature_names_in_) == names
    assert found[-1].estimator.score(rest.features, rest.truth) > 0.9


def test_categories_of_lightgbm_go_the_same_way() -> None:
    """Splits by sets of categories are kept in the text that is written."""
    generator = np.random.default_rng(0)
    features = np.column_stack([generator.integers(12, size=600), generator.normal(size=600)])
    truth = (np.isin(features[:, 0], (1, 5, 7, 10)) ^ (features[:, 1] > 0.5)).astype(int)
    model = LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1)
    model.fit(features[:300], truth[:300], categorical_feature=[0])
    found = reduced(model, Rows(features[:300], truth[:300]), Rows(features[300:], truth[300:]))
    assert found
    same = found[0].estimator.predict(features) == model.predict(features)
    assert same.mean() > 0.97


def test_sparse_rows() -> None:
    learned, held_out, rest = parts(BINARY)
    sparse = [
        Rows(csr_array(np.maximum(each.features, 0)), each.truth)
        for each in (learned, held_out, rest)
    ]
    for model in (LogisticRegression(), RandomForestClassifier(40, random_state=0)):
        model.fit(sparse[0].features, sparse[0].truth)
        found = reduced(model, *sparse[:2])
        assert found
        assert found[-1].estimator.score(sparse[2].features, sparse[2].truth) > 0.85


def test_what_is_not_known_is_left_alone() -> None:
    """Other types, other kernels and several outputs at once are refused, not guessed at."""
    learned, held_out, _ = parts(BINARY)
    other = GaussianNB().fit(learned.features, learned.truth)
    two = np.column_stack([learned.truth, 1 - learned.truth])
    both = RandomForestClassifier(3).fit(learned.features, two)
    lines = Ridge().fit(learned.features, two.astype(float))
    own = SVC(kernel=lambda a, b: a @ b.T).fit(learned.features, learned.truth)
    for each in (other, both, lines, own):
        assert not can_reduce(each)
        assert reduced(each, learned, held_out) == []


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(1, random_state=0),
        RandomForestClassifier(20, random_state=0),
        HistGradientBoostingClassifier(max_iter=20),
        LogisticRegression(),
        KNeighborsClassifier(),
        SVC(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_odd_held_out_rows(model: Any) -> None:
    """One class only, one row or none: whatever comes is smaller and can be used."""
    learned, held_out, rest = parts(BINARY)
    model.fit(learned.features, learned.truth)
    zeros = held_out.truth == 0
    for own in (zeros, np.arange(len(zeros)) < 1, np.zeros(len(zeros), bool)):
        few = Rows(held_out.features[own], held_out.truth[own])
        for each in reduced(model, learned, few):
            assert each.size < each.before
            assert each.estimator.predict(rest.features).shape == rest.truth.shape


def test_a_forest_that_always_says_the_same() -> None:
    """Trees of one node each have nothing to lose but their number."""
    features = np.random.default_rng(0).normal(size=(60, 3))
    rows = Rows(features, np.ones(60))
    forest = ExtraTreesRegressor(10).fit(features, rows.truth)
    found = reduced(forest, rows, rows)
    assert found
    for each in found:
        assert np.allclose(each.estimator.predict(features), rows.truth)


def test_it_can_be_stopped() -> None:
    learned, held_out, _ = parts(BINARY)
    forest = RandomForestClassifier(10).fit(learned.features, learned.truth)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(reductions(forest, learned, held_out, 0, stop))

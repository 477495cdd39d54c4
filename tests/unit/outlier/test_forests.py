from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyod.models.iforest import IForest
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Detector, Fitted, Matrix, UnfitError
from services.outlier.domain.detectors.forests import (
    ExtendedIsolationForest,
    IsolationForest,
    RandomForestProximity,
)
from services.outlier.domain.detectors.growing import path_length
from services.outlier.domain.detectors.trees import copy_trees
from tests.unit.outlier.support import rows_of

FORESTS: list[Detector] = [
    IsolationForest(trees=30),
    ExtendedIsolationForest(trees=30),
    RandomForestProximity(trees=30, known_rows=200),
]
each_forest = pytest.mark.parametrize("forest", FORESTS, ids=lambda forest: type(forest).__name__)


def correlated(count: int, seed: int = 0) -> Matrix:
    """Two linked features and two more."""
    values: Matrix = np.random.default_rng(seed).normal(size=(count, 4))
    values[:, 1] = values[:, 0] + 0.1 * values[:, 1]
    return values


def fitted(forest: Detector, values: npt.ArrayLike, seed: int = 0) -> Fitted:
    return forest.fit(rows_of(values), np.random.default_rng(seed))


def test_ranks_rows_as_pyod_does() -> None:
    """Protects the isolation forest's meaning: its order of rows is that of the reference."""
    values = correlated(2000)
    ours = fitted(IsolationForest(trees=300), values).score(rows_of(values))
    theirs = IForest(n_estimators=300, random_state=0).fit(values).decision_function(values)
    assert spearmanr(ours, theirs).statistic > 0.98


def test_scores_mean_what_the_paper_says() -> None:
    """Protects the scale: usual rows are near 0.4 to 0.5, isolated ones well above 0.6."""
    scores = fitted(IsolationForest(), correlated(1000)).score(rows_of([[0] * 4, [9, -9, 9, 9]]))
    assert scores[0] < 0.5
    assert scores[1] > 0.7


def test_path_length_is_that_of_the_paper() -> None:
    """Protects the correction of leaves with several rows, by values worked out by hand."""
    assert path_length(np.array([0, 1, 2, 256])) == pytest.approx([0, 0, 1, 10.2448], abs=1e-4)


@each_forest
def test_finds_what_doctors_call_malignant(forest: Detector) -> None:
    """Protects usefulness on real rows: benign cells with some malignant ones among them."""
    values, benign = load_breast_cancer(return_X_y=True)
    values = (values - values.mean(0)) / values.std(0)
    chosen = np.concatenate([np.flatnonzero(benign == 1), np.flatnonzero(benign == 0)[:30]])
    scores = fitted(forest, values[chosen]).score(rows_of(values[chosen]))
    assert roc_auc_score(benign[chosen] == 0, scores) > 0.8


@pytest.mark.parametrize("forest", FORESTS[1:], ids=lambda forest: type(forest).__name__)
def test_a_row_that_breaks_a_relation_is_odd(forest: Detector) -> None:
    """Protects what sets these two apart: each feature of the odd row alone is usual."""
    scores = fitted(forest, correlated(1000)).score(rows_of([[1.2, -1.2, 0, 0], [1.2, 1.2, 0, 0]]))
    assert scores[0] > scores[1]


@each_forest
def test_a_score_does_not_depend_on_the_rows_beside_it(forest: Detector) -> None:
    """Protects scoring row by row, by blocks and by chunks: all give the same."""
    detector = fitted(forest, correlated(300))
    values = correlated(20_000, seed=1)
    together = detector.score(rows_of(values))
    some = [0, 127, 128, 16_383, 16_384, 19_999]
    assert together[some] == pytest.approx(detector.score(rows_of(values[some])), rel=1e-12)
    assert together[some[2]] == pytest.approx(detector.score(rows_of(values[some[2:3]]))[0])


@each_forest
def test_same_seed_same_scores(forest: Detector) -> None:
    """Protects repeatability, and that the seed matters at all."""
    values = correlated(300)
    first, same, other = (fitted(forest, values, seed).score(rows_of(values)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@each_forest
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((50, 3)),
        lambda: np.ones((2, 1)),
        lambda: [[0.0], [1.0]],
        lambda: np.repeat([[1.0, 2.0], [3.0, 4.0]], 20, axis=0),
        lambda: np.random.default_rng(0).normal(size=(40, 10_000)),
        lambda: np.random.default_rng(0).normal(size=(40, 2)) * 1e300,
        lambda: np.random.default_rng(0).normal(size=(40, 2)) * 1e-300,
    ],
    ids=["constant", "two equal rows", "two rows", "duplicates", "wide", "huge", "tiny"],
)
def test_awkward_rows_are_scored(forest: Detector, make: Callable[[], npt.ArrayLike]) -> None:
    """Protects against data that has nothing to split, or far too much."""
    values = np.asarray(make(), float)
    scores = fitted(forest, values).score(rows_of(np.concatenate([values, 2 * values + 1])))
    assert np.isfinite(scores).all()


@settings(max_examples=40)
@given(
    values=arrays(
        float,
        st.tuples(st.integers(2, 30), st.integers(1, 3)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    forest=st.sampled_from(FORESTS[:2]),
)
def test_any_finite_rows_are_scored(values: Matrix, forest: Detector) -> None:
    """Protects against numbers nobody thought of."""
    scores = fitted(forest, values).score(rows_of(values))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_no_rows_no_scores() -> None:
    """Protects an empty last part of a table."""
    assert fitted(IsolationForest(), correlated(9)).score(rows_of(np.zeros((0, 4)))).shape == (0,)


@each_forest
def test_says_that_features_are_missing(forest: Detector) -> None:
    """Protects the sentence users get where no column was chosen."""
    with pytest.raises(UnfitError, match="Choose some columns"):
        fitted(forest, np.zeros((5, 0)))


def test_copied_trees_end_where_those_of_scikit_learn_do() -> None:
    """Protects copying: equal leaf values for rows on, above and below thresholds."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(500, 3)).round(1)
    forest = RandomForestClassifier(10, max_depth=7, random_state=0)
    forest.fit(values, values.sum(1) + generator.normal(size=500) > 0)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    copied = copy_trees(trees, [tree.value[:, 0, 1] for tree in trees], 7)
    # scikit-learn compares numbers as float32 too.
    assert copied.mean(values) == pytest.approx(forest.predict_proba(values)[:, 1], abs=1e-12)


def test_known_rows_are_not_their_own_company() -> None:
    """Protects odd rows that were fitted: the nearest row, itself, does not make them usual."""
    values = np.concatenate([correlated(200), [[8, -8, 8, 8]]])
    detector = fitted(RandomForestProximity(known_rows=201), values)
    assert detector.score(rows_of(values)).argmax() == 200

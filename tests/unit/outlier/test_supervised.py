import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Matrix, Rows, UnfitError
from services.outlier.domain.detectors.forests import IsolationForest
from services.outlier.domain.detectors.supervised import (
    Labels,
    Ranks,
    SemiSupervised,
    SemiSupervisedScorer,
)

QUICK = SemiSupervised(trees=20, depth=6)


def rows_of(values: Matrix) -> Rows:
    return Rows(values, np.zeros((len(values), 0), np.int32))


def hidden(count: int, seed: int = 0) -> tuple[Matrix, Labels]:
    """Anomalies that only labels give away: a dense clump within the cloud of usual rows."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 4))
    odd = np.arange(count) < count // 10
    values[odd] = 0.8 + 0.2 * values[odd]
    return values, odd.astype(np.int8)


def some(truth: Labels, anomalies: int, normal: int = 0) -> Labels:
    """Hides the labels but of some rows."""
    labels = np.full(len(truth), -1, np.int8)
    labels[np.flatnonzero(truth == 1)[:anomalies]] = 1
    labels[np.flatnonzero(truth == 0)[:normal]] = 0
    return labels


def base(values: Matrix, fitted_to: Matrix) -> Matrix:
    """Scores of one detector, as a column."""
    forest = IsolationForest(trees=30).fit(rows_of(fitted_to), np.random.default_rng(0))
    return forest.score(rows_of(values))[:, None]


def fitted(values: Matrix, labels: Labels, seed: int = 0) -> SemiSupervisedScorer:
    return QUICK.fit(rows_of(values), labels, base(values, values), np.random.default_rng(seed))


def area(values: Matrix, labels: Labels) -> tuple[float, float]:
    """Returns the AUROC on new rows, of the detector alone and with labels."""
    scorer = fitted(values, labels)
    fresh, truth = hidden(1000, seed=1)
    alone = base(fresh, values)
    with_labels = scorer.score(rows_of(fresh), alone)
    return roc_auc_score(truth, alone), roc_auc_score(truth, with_labels)


def test_labels_find_what_no_detector_can() -> None:
    """Protects the point of labels: a tenth of the anomalies, no normal ones."""
    values, truth = hidden(1000)
    alone, with_labels = area(values, some(truth, 10))
    assert alone < 0.3
    assert with_labels > 0.9


def test_all_labels_are_better_than_few() -> None:
    """Protects data that is labelled throughout."""
    values, truth = hidden(1000)
    assert area(values, truth)[1] > 0.95


@pytest.mark.parametrize("anomalies", [1, 2, 3])
def test_few_labels_do_no_harm(anomalies: int) -> None:
    """Protects the guard: labels that fit what detectors say leave it about as good as it was."""
    generator = np.random.default_rng(0)
    truth = (np.arange(600) < 30).astype(np.int8)

    def far_out(count: int, odd: Labels) -> Matrix:
        values: Matrix = generator.normal(size=(count, 6))
        values[odd == 1] *= 3
        return values

    values, fresh = far_out(600, truth), far_out(600, truth)
    alone = base(fresh, values)
    scores = fitted(values, some(truth, anomalies)).score(rows_of(fresh), alone)
    assert roc_auc_score(truth, scores) > roc_auc_score(truth, alone) - 0.03


def test_a_score_does_not_depend_on_the_rows_beside_it() -> None:
    """Protects scoring in parts, the range of scores, and repeatability."""
    values, truth = hidden(300)
    labels = some(truth, 10, 20)
    scorer = fitted(values, labels)
    scores = scorer.score(rows_of(values), base(values, values))
    assert scorer.share > 0
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[7:8] == pytest.approx(
        scorer.score(rows_of(values[7:8]), base(values[7:8], values)), abs=1e-12
    )
    again = fitted(values, labels).score(rows_of(values), base(values, values))
    assert np.array_equal(scores, again)


def test_says_what_labels_are_missing() -> None:
    """Protects the sentences that tell users what to label."""
    values = np.random.default_rng(0).normal(size=(10, 2))
    with pytest.raises(UnfitError, match="Label some"):
        fitted(values, np.zeros(10, np.int8))
    with pytest.raises(UnfitError, match="Add rows that are normal"):
        fitted(values, np.ones(10, np.int8))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.zeros((6, 2)), [1, 1, 0, 0, -1, -1]),
        (np.zeros((3, 1)), [1, 0, -1]),
        (np.random.default_rng(0).normal(size=(20, 2000)), [1, 1, *[-1] * 18]),
        (np.random.default_rng(0).normal(size=(20, 2)) * 1e300, [1, *[0] * 19]),
        (np.random.default_rng(0).normal(size=(20, 2)), [*[1] * 18, 0, 0]),
    ],
    ids=["constant", "three rows", "wide", "huge", "nearly all odd"],
)
def test_awkward_rows_are_scored(values: Matrix, labels: list[int]) -> None:
    """Protects against data that teaches nothing, or far too much."""
    given_labels = np.array(labels, np.int8)
    scores = fitted(values, given_labels).score(rows_of(values), base(values, values))
    assert np.isfinite(scores).all()


@settings(max_examples=50)
@given(
    known=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30),
    low=st.floats(-1e12, 1e12),
    high=st.floats(-1e12, 1e12),
)
def test_ranks_keep_the_order(known: list[float], low: float, high: float) -> None:
    """Protects scores beyond all fitted ones: never in another order, always between 0 and 1."""
    low, high = sorted((low, high))
    ranks = Ranks.of(np.array(known)).rank(np.array([low, high]))
    assert 0 <= ranks[0] <= ranks[1] <= 1


def test_far_beyond_is_odder_than_just_beyond() -> None:
    """Protects telling the oddest rows apart."""
    ranks = Ranks.of(np.arange(100.0)).rank(np.array([200.0, 400.0]))
    assert ranks[0] < ranks[1]

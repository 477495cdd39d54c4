"""Detectors that ask how near neighbours are."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyod.models.knn import KNN
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from services.outlier.domain.detector import Detector, UnfitError
from services.outlier.domain.detectors.distances import distinct_rows, nearest, squared_distances
from services.outlier.domain.detectors.neighbours import (
    Aggregation,
    Knn,
    Lof,
    SubsampledNeighbours,
)
from tests.unit.outlier.support import CHECKS, auroc, cancer, planted, rows_of, scores_of

ALL = (Knn(), SubsampledNeighbours(), Lof())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("detector", ALL, ids=lambda each: type(each).__name__)
def test_contract(detector: Detector, check: Callable[[Detector], None]) -> None:
    """Finite, independent of other rows, finds planted rows, kept without pickle."""
    check(detector)


@pytest.mark.parametrize(
    ("aggregation", "method"),
    [(Aggregation.MEAN, "mean"), (Aggregation.MAX, "largest"), (Aggregation.MEDIAN, "median")],
)
def test_knn_as_pyod(aggregation: Aggregation, method: str) -> None:
    """On rows that all differ, scores are PyOD's, of fitted rows and of new ones."""
    rows, _ = cancer()
    reference = KNN(n_neighbors=7, method=method).fit(rows.values)
    detector = Knn(neighbours=7, aggregation=aggregation)
    np.testing.assert_allclose(scores_of(detector, rows), reference.decision_scores_, rtol=1e-9)
    new = rows_of(rows.values + 0.1)
    expected = reference.decision_function(new.values)
    np.testing.assert_allclose(scores_of(detector, rows, new), expected, rtol=1e-9)


def test_lof_as_scikit_learn() -> None:
    """Scores of fitted rows and of new ones are scikit-learn's."""
    rows, _ = cancer()
    reference = LocalOutlierFactor(n_neighbors=15, novelty=True).fit(rows.values)
    expected = -reference.negative_outlier_factor_
    np.testing.assert_allclose(scores_of(Lof(neighbours=15), rows), expected, rtol=1e-7)
    new = rows_of(rows.values + 0.1)
    expected = -reference.score_samples(new.values)
    np.testing.assert_allclose(scores_of(Lof(neighbours=15), rows, new), expected, rtol=1e-7)


@pytest.mark.parametrize("detector", [Knn(), Lof()], ids=lambda each: type(each).__name__)
def test_duplicates_hide_nothing(detector: Detector) -> None:
    """Many copies of an anomaly score as high as one of it does."""
    rows, truth = planted()
    copies = np.repeat(rows.values[truth][:1], 100, axis=0)
    many = rows_of(np.concatenate((rows.values, copies)))
    np.testing.assert_allclose(
        scores_of(detector, many)[: rows.count], scores_of(detector, rows), rtol=1e-9
    )
    assert auroc(np.append(truth, np.ones(100, dtype=bool)), scores_of(detector, many)) >= 0.99


def test_lof_judges_by_surroundings() -> None:
    """A row beside a dense cluster is odder than rows of a sparse one that lie farther apart."""
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(200, 2)) * 0.05
    sparse = generator.normal(size=(200, 2)) * 2 + 20
    rows = rows_of(np.concatenate((dense, sparse, [[0.7, 0.7]])))
    assert scores_of(Lof(), rows).argmax() == 400
    assert scores_of(Knn(), rows).argmax() != 400


def test_lesinn_is_the_mean_of_nearest_distances() -> None:
    """Scores are those of the formula, computed by scikit-learn sample by sample."""
    rows, _ = planted()
    fitted = SubsampledNeighbours(rounds=20).fit(rows, np.random.default_rng(0))
    assert fitted.samples.shape == (8, 20, 4)
    by_sample = [
        NearestNeighbors(n_neighbors=1).fit(fitted.samples[:, each]).kneighbors(rows.values)[0]
        for each in range(20)
    ]
    np.testing.assert_allclose(
        fitted.score(rows), np.concatenate(by_sample, axis=1).mean(axis=1), rtol=1e-9
    )


def test_lesinn_finds_groups_of_anomalies() -> None:
    """Forty anomalies side by side stand out, though they are near each other."""
    generator = np.random.default_rng(0)
    usual = generator.normal(size=(2000, 5))
    group = generator.normal(size=(40, 5)) * 0.1 + 4
    rows = rows_of(np.concatenate((usual, group)))
    truth = np.arange(2040) >= 2000
    assert auroc(truth, scores_of(SubsampledNeighbours(), rows)) > 0.99
    assert auroc(truth, scores_of(Knn(), rows)) < 0.9


def test_equal_rows_are_refused_with_a_cure() -> None:
    """Rows that are all equal have no neighbours; the message says what to do."""
    with pytest.raises(UnfitError, match="give rows that differ"):
        scores_of(Knn(), rows_of(np.zeros((30, 2))))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 6), st.booleans())
def test_nearest_is_exact(seed: int, features: int, count: int, whole: bool) -> None:
    """Distances are those of brute force over the other different rows, by tree or by product."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(600, features)) * 3
    values = np.round(values) if whole else values
    fitted = distinct_rows(values[:100], generator)
    count = min(count, len(fitted) - 1)
    squares = np.square(values[:, None] - fitted[None]).sum(axis=2)
    squares[squares == 0] = np.inf
    expected = np.sqrt(np.sort(squares, axis=1)[:, :count])
    for some in (slice(0, 600), slice(0, 50)):
        found = list(nearest(values[some], fitted, count))
        got = np.concatenate([distances for _, distances, _ in found])
        np.testing.assert_allclose(got, expected[some], rtol=1e-12)


def test_kept_rows_fit_into_memory() -> None:
    """Of wide rows, only as many are kept as 64 MB hold."""
    values = np.repeat(np.arange(900.0)[:, None], 10_000, axis=1)
    kept = distinct_rows(values, np.random.default_rng(0))
    assert kept.nbytes <= 64_000_000
    assert len(kept) == 800


def test_squared_distances_are_not_negative() -> None:
    """Rounding makes no negative squares, whose roots would not be numbers."""
    values = np.random.default_rng(0).normal(size=(50, 3)) * 1e-3 + 1e6
    assert (squared_distances(values, values) >= 0).all()

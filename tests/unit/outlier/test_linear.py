"""Detectors that ask how far a row lies along the directions of the data."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf, MinCovDet
from sklearn.decomposition import PCA

from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors.linear import Mahalanobis, Pca
from tests.unit.outlier.support import CHECKS, auroc, cancer, rank_agreement, rows_of, scores_of


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("detector", [Pca(), Mahalanobis()], ids=["pca", "mahalanobis"])
def test_contract(detector: Detector, check: Callable[[Detector], None]) -> None:
    """Finite, independent of other rows, finds planted rows, kept without pickle."""
    check(detector)


def test_all_rows_as_ledoit_wolf() -> None:
    """With all rows as support, distances are those of scikit-learn's shrunk covariance."""
    rows, _ = cancer()
    expected = np.sqrt(LedoitWolf().fit(rows.values).mahalanobis(rows.values))
    np.testing.assert_allclose(scores_of(Mahalanobis(support=1), rows), expected, rtol=1e-7)


def test_more_features_than_rows_as_ledoit_wolf() -> None:
    """The short way by products of rows gives the distances of the full covariance."""
    values = np.random.default_rng(0).normal(size=(30, 80))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    new = np.random.default_rng(1).normal(size=(50, 80))
    covariance = LedoitWolf().fit(values)
    inverse = np.linalg.inv(covariance.covariance_)
    expected = [mahalanobis(each, covariance.location_, inverse) for each in new]
    got = scores_of(Mahalanobis(), rows_of(values), rows_of(new))
    np.testing.assert_allclose(got, expected, rtol=1e-7)


def test_usual_rows_rank_as_mcd() -> None:
    """With anomalies that hide each other, rows rank as by scikit-learn's FastMCD."""
    generator = np.random.default_rng(0)
    usual = generator.normal(size=(400, 4)) @ generator.normal(size=(4, 4))
    group = generator.normal(size=(60, 4)) + 7
    rows = rows_of(np.concatenate((usual, group)))
    truth = np.arange(460) >= 400
    expected = MinCovDet(support_fraction=0.75, random_state=0).fit(rows.values)
    scores = scores_of(Mahalanobis(), rows)
    assert rank_agreement(scores[:400], expected.mahalanobis(rows.values)[:400]) > 0.97
    assert auroc(truth, scores) > 0.999
    assert scores[400:].min() > 2 * scores_of(Mahalanobis(support=1), rows)[400:].min()


def test_pca_is_its_formula() -> None:
    """Scores are the two parts that scikit-learn's components give, each over its median."""
    rows, _ = cancer()
    reference = PCA(svd_solver="full").fit(rows.values)
    along = reference.transform(rows.values)
    major = int(np.searchsorted(np.cumsum(reference.explained_variance_ratio_), 0.5)) + 1
    inside = (along[:, :major] ** 2 / reference.explained_variance_[:major]).sum(axis=1)
    outside = (along[:, major:] ** 2).sum(axis=1)
    expected = np.sqrt(inside / np.median(inside) + outside / np.median(outside))
    np.testing.assert_allclose(scores_of(Pca(), rows), expected, rtol=1e-7)


def test_broken_relation_is_found() -> None:
    """A row whose numbers are usual one by one, but not together, scores highest."""
    generator = np.random.default_rng(0)
    base = generator.normal(size=(500, 1))
    values = base + 0.05 * generator.normal(size=(500, 3))
    rows = rows_of(np.concatenate((values, [[1.0, -1.0, 1.0]])))
    for detector in (Pca(), Mahalanobis()):
        assert scores_of(detector, rows).argmax() == 500


def test_real_anomalies() -> None:
    """Malign tumours stand out among benign ones."""
    rows, truth = cancer()
    assert auroc(truth, scores_of(Pca(), rows)) > 0.9
    assert auroc(truth, scores_of(Mahalanobis(), rows)) > 0.9


def test_step_from_a_constant_counts() -> None:
    """A new row that leaves a feature's only value is odder than all fitted rows."""
    values = np.random.default_rng(0).normal(size=(200, 3))
    values[:, 2] = 4.0
    new = rows_of([[0.0, 0.0, 9.0]])
    for detector in (Pca(), Mahalanobis()):
        assert (
            scores_of(detector, rows_of(values), new) > scores_of(detector, rows_of(values)).max()
        )

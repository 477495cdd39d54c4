"""Detectors that group rows."""

from collections.abc import Callable

import numpy as np
import pytest
from pyod.models.cblof import CBLOF
from sklearn.cluster import DBSCAN
from sklearn.cluster import KMeans as Means

from services.outlier.domain.detector import Detector, Rows, UnfitError
from services.outlier.domain.detectors.clustering import Cblof, Dbscan, Hdbscan, KMeans
from tests.unit.outlier.support import (
    CHECKS,
    auroc,
    cancer,
    planted,
    rank_agreement,
    rows_of,
    scores_of,
)

ALL = (KMeans(), Cblof(), Dbscan(), Hdbscan())


def blobs() -> tuple[Rows, np.ndarray]:
    """Returns three clusters of different spread, with rows between them, and which these are."""
    generator = np.random.default_rng(0)
    clusters = [
        generator.normal(size=(200, 2)) * spread + centre
        for spread, centre in ((0.2, (0, 0)), (1.0, (8, 0)), (0.5, (0, 8)))
    ]
    between = np.array([[4.0, 4.0], [3.5, 0.0], [0.0, 4.0], [12.0, 12.0], [1.6, 1.6]])
    return rows_of(np.concatenate((*clusters, between))), np.arange(605) >= 600


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("detector", ALL, ids=lambda each: type(each).__name__)
def test_contract(detector: Detector, check: Callable[[Detector], None]) -> None:
    """Finite, independent of other rows, finds planted rows, kept without pickle."""
    check(detector)


@pytest.mark.parametrize(
    "detector", [KMeans(clusters=3), Cblof(clusters=3), Dbscan(), Hdbscan()], ids=str
)
def test_rows_between_clusters(detector: Detector) -> None:
    """Rows in the space between clusters are found, which one ellipse would take for usual."""
    rows, truth = blobs()
    assert auroc(truth, scores_of(detector, rows)) > 0.98


def test_own_spread_counts() -> None:
    """A step from a tight cluster is odder than the same step from a wide one."""
    rows, _ = blobs()
    new = rows_of([[1.5, 0.0], [9.5, 0.0]])
    tight, wide = scores_of(KMeans(clusters=3), rows, new)
    assert tight > 2 * wide


def test_small_groups_are_no_clusters() -> None:
    """A group of anomalies that k-means gives a cluster of its own is found; kept, it is not."""
    rows, _ = blobs()
    group = np.random.default_rng(1).normal(size=(30, 2)) * 0.1 + 30
    both = rows_of(np.concatenate((rows.values[:600], group)))
    truth = np.arange(630) >= 600
    for detector in (KMeans(clusters=4), Cblof(clusters=4)):
        assert auroc(truth, scores_of(detector, both)) > 0.99
    assert auroc(truth, scores_of(KMeans(clusters=4, least_size=0), both)) < 0.9


def test_cblof_as_pyod() -> None:
    """With the same clusters, scores are PyOD's."""
    rows, _ = cancer()
    generator = np.random.default_rng(0)
    seed = int(generator.integers(2**31))
    means = Means(5, n_init=3, random_state=seed)
    reference = CBLOF(n_clusters=5, clustering_estimator=means).fit(rows.values)
    expected = reference.decision_scores_
    np.testing.assert_allclose(scores_of(Cblof(clusters=5), rows), expected, rtol=1e-6)


def test_cblof_without_large_clusters() -> None:
    """Where no cluster is larger than others, all are large, and nothing is raised."""
    values = np.repeat(np.arange(4.0), 50)[:, None] * 10
    values = values + np.random.default_rng(0).normal(size=(200, 1)) * 0.1
    scores = scores_of(Cblof(clusters=4, alpha=0.99, beta=5), rows_of(values))
    assert scores.max() < 1


def test_dbscan_tells_noise() -> None:
    """At the same eps, a score above 1 is noise by scikit-learn's DBSCAN, and no other."""
    rows, _ = blobs()
    labels = DBSCAN(eps=0.8, min_samples=11).fit(rows.values).labels_
    scores = scores_of(Dbscan(neighbours=10, eps=0.8), rows)
    np.testing.assert_array_equal(scores > 1, labels < 0)


def test_dbscan_without_core_rows() -> None:
    """An eps below all distances is refused, and the cure is told."""
    with pytest.raises(UnfitError, match="raise eps"):
        scores_of(Dbscan(eps=1e-9), planted()[0])


def test_dbscan_knee_is_not_moved_by_one_row() -> None:
    """One row far off hardly changes the scale that is chosen."""
    rows, _ = blobs()
    far = rows_of(np.concatenate((rows.values, [[1e6, 1e6]])))
    with_far, without = (Dbscan().fit(each, np.random.default_rng(0)).eps for each in (far, rows))
    assert 0.5 < with_far / without < 2


def test_hdbscan_ranks_as_glosh() -> None:
    """In one cluster, rows rank by the reach they need, as GLOSH has it."""
    generator = np.random.default_rng(0)
    rows = rows_of(generator.normal(size=(400, 2)))
    scores = scores_of(Hdbscan(neighbours=10, cluster_rows=100), rows)
    apart = np.sort(np.linalg.norm(rows.values[:, None] - rows.values, axis=2), axis=1)
    assert rank_agreement(scores, apart[:, 10]) > 0.95


def test_clusters_are_capped_by_the_rows() -> None:
    """Few rows make few clusters, so that none has a row or two alone."""
    rows, _ = planted(60, 2, 4)
    fitted = KMeans(clusters=50, least_size=0).fit(rows, np.random.default_rng(0))
    assert len(fitted.centres) == 2

"""Detectors that estimate densities."""

from collections.abc import Callable

import numpy as np
import pytest
from pyod.models.hbos import HBOS
from scipy.stats import norm
from sklearn.mixture import GaussianMixture as Mixture
from sklearn.neighbors import KernelDensity

from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors.density import GaussianMixture, Hbos, Kde
from tests.unit.outlier.support import (
    CHECKS,
    auroc,
    cancer,
    check_finds,
    planted,
    rank_agreement,
    rows_of,
    scores_of,
)

ALL = (Kde(), GaussianMixture(), Hbos())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("detector", ALL, ids=lambda each: type(each).__name__)
def test_contract(detector: Detector, check: Callable[[Detector], None]) -> None:
    """Finite, independent of other rows, finds planted rows, kept without pickle."""
    # Seen feature by feature, few of the planted rows are as far out as they are.
    if check is check_finds and isinstance(detector, Hbos):
        check_finds(detector, least=0.9)
    else:
        check(detector)


@pytest.mark.parametrize("bandwidth", [0.3, 2.0])
def test_kde_as_scikit_learn(bandwidth: float) -> None:
    """New rows have the density that scikit-learn computes."""
    rows, _ = planted()
    new = rows_of(rows.values + 0.25)
    reference = KernelDensity(bandwidth=bandwidth).fit(rows.values)
    expected = -reference.score_samples(new.values)
    np.testing.assert_allclose(scores_of(Kde(bandwidth=bandwidth), rows, new), expected, rtol=1e-7)


def test_kde_leaves_a_row_out() -> None:
    """A fitted row's density is that of the other rows."""
    rows, _ = planted(40, 2, 2)
    others = KernelDensity(bandwidth=0.5).fit(rows.values[1:])
    expected = -others.score_samples(rows.values[:1])
    np.testing.assert_allclose(scores_of(Kde(bandwidth=0.5), rows)[:1], expected, rtol=1e-9)


def test_kde_bandwidth_is_scotts() -> None:
    """Of normal numbers, the bandwidth is that of the rule; a far row does not widen it."""
    values = np.random.default_rng(0).normal(size=(1000, 2))
    wanted = 1000 ** (-1 / 6)
    for each in (values, np.concatenate((values, [[1e9, 1e9]]))):
        fitted = Kde().fit(rows_of(each), np.random.default_rng(0))
        assert fitted.bandwidth == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("features", [3, 100])
def test_mixture_as_scikit_learn(features: int) -> None:
    """The arrays that are kept give the densities of scikit-learn's model, full or diagonal."""
    values = np.random.default_rng(0).normal(size=(400, features))
    values[:200] += 3
    detector = GaussianMixture(components=2)
    generator = np.random.default_rng(0)
    reference = Mixture(
        2,
        covariance_type="full" if features == 3 else "diag",
        reg_covar=1e-3 * values.var(axis=0).mean(),
        init_params="k-means++",
        max_iter=50,
        random_state=int(generator.integers(2**31)),
    ).fit(values)
    expected = -reference.score_samples(values)
    np.testing.assert_allclose(scores_of(detector, rows_of(values)), expected, rtol=1e-9)


def test_components_are_chosen() -> None:
    """Two clouds get two components, one gets one."""
    generator = np.random.default_rng(0)
    one = generator.normal(size=(400, 2))
    two = np.concatenate((one, one + 12))
    for values, wanted in ((one, 1), (two, 2)):
        fitted = GaussianMixture().fit(rows_of(values), np.random.default_rng(0))
        assert len(fitted.means) == wanted


def test_component_of_anomalies_is_left_out() -> None:
    """A small cloud of its own does not become usual."""
    generator = np.random.default_rng(0)
    rows = rows_of(
        np.concatenate((generator.normal(size=(600, 2)), generator.normal(size=(30, 2)) + 12))
    )
    truth = np.arange(630) >= 600
    assert auroc(truth, scores_of(GaussianMixture(components=2), rows)) == 1
    kept = GaussianMixture(components=2, least_weight=0)
    assert auroc(truth, scores_of(kept, rows)) < 1


def test_hbos_ranks_as_pyod() -> None:
    """With as many bins, rows rank as by PyOD."""
    rows, truth = cancer()
    reference = HBOS(n_bins=10).fit(rows.values).decision_scores_
    scores = scores_of(Hbos(bins=10), rows)
    assert rank_agreement(scores, reference) > 0.95
    assert auroc(truth, scores) > auroc(truth, reference) - 0.02


def test_hbos_is_a_density() -> None:
    """Of a normal feature, scores fall as its density rises."""
    values = np.random.default_rng(0).normal(size=(20_000, 1))
    grid = np.linspace(-2.5, 2.5, 11)
    scores = scores_of(Hbos(bins=40), rows_of(values), rows_of(grid[:, None]))
    assert rank_agreement(scores, -norm.pdf(grid)) > 0.95


def test_hbos_beyond_its_bins() -> None:
    """Numbers outside of all bins are the odder the farther; one far row spoils no bins."""
    values = np.random.default_rng(0).normal(size=(500, 1))
    rows = rows_of(np.concatenate((values, [[1e12]])))
    near, far, farther = scores_of(Hbos(), rows, rows_of([[0.0], [50.0], [500.0]]))
    assert near < 0.5 < far < farther


def test_hbos_finds_gaps() -> None:
    """A number between two usual groups is rare, though it is in the middle."""
    generator = np.random.default_rng(0)
    values = np.concatenate((generator.normal(size=300) - 8, generator.normal(size=300) + 8, [0]))
    assert scores_of(Hbos(), rows_of(values[:, None])).argmax() == 600

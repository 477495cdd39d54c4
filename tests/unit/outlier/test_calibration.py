import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, kstest

from services.outlier.domain.calibration import (
    MOST_ORDER_STATISTICS,
    Calibration,
    Normaliser,
    UsualTail,
    automatic_threshold,
    contamination_threshold,
    false_discovery_threshold,
    medcouple,
)
from services.outlier.domain.keeping import take_apart

any_scores = arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.floats(-1e300, 1e300) | st.integers(-3, 3).map(float),
)


def usual(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(3.0, size=count)


def polluted(count: int, odd: int) -> npt.NDArray[np.float64]:
    """Usual scores, then far larger ones."""
    far = np.random.default_rng(1).normal(40, 3, size=odd)
    return np.concatenate([usual(count - odd), far])


@pytest.mark.parametrize("size", [3, 10, 77, 500, 1001])
@pytest.mark.parametrize("kind", ["normal", "skewed", "left", "ties", "many ties"])
def test_medcouple_agrees_with_statsmodels(kind: str, size: int) -> None:
    """Protects the skewness on which the automatic threshold rests, also where scores are equal."""
    tools = pytest.importorskip("statsmodels.stats.stattools")
    generator = np.random.default_rng(size)
    scores = {
        "normal": generator.normal(size=size),
        "skewed": generator.exponential(size=size),
        "left": -generator.exponential(size=size),
        "ties": generator.integers(0, 40, size).astype(float),
        "many ties": generator.integers(0, 3, size).astype(float),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = float(tools.medcouple(scores, use_fast=False))
    assert medcouple(scores) == pytest.approx(expected, abs=1e-9)


def test_medcouple_of_many_scores_is_that_of_all() -> None:
    """Protects against a thinning that changes the skewness."""
    scores = np.random.default_rng(0).exponential(size=20_000)
    assert medcouple(scores, 2_000) == pytest.approx(medcouple(scores, 20_000), abs=2e-3)


def test_normaliser_is_a_robust_z() -> None:
    """Protects the common scale: detectors weigh the same whatever their units."""
    scores = usual(1000)
    first, second = Normaliser.fit(scores), Normaliser.fit(scores * 1e6 - 5)
    np.testing.assert_allclose(first.apply(scores), second.apply(scores * 1e6 - 5), atol=1e-6)
    low, middle, high = np.quantile(first.apply(scores), (0.25, 0.5, 0.75))
    assert middle == pytest.approx(0, abs=1e-9)
    assert high - low == pytest.approx(1)
    assert first.apply(np.array([-1e300, 1e300])).tolist() == [-5, 10]


@pytest.mark.parametrize("scores", [[5.0] * 9, [5.0], [0.0] * 99 + [1.0], [1e300] * 3 + [-1e300]])
def test_normaliser_where_scores_do_not_spread(scores: list[float]) -> None:
    """Protects against a division by an interquartile range of 0."""
    normalised = Normaliser.fit(np.array(scores)).apply(np.array(scores))
    assert np.isfinite(normalised).all()
    assert (np.argsort(scores, kind="stable") == np.argsort(normalised, kind="stable")).all()


@settings(max_examples=40)
@given(any_scores, any_scores)
def test_calibrations_are_monotone_and_in_range(
    fitted: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> None:
    """Protects the order of rows: a larger score is never less of an anomaly."""
    calibration = Calibration.fit(fitted)
    ascending = np.sort(np.concatenate([fitted, scores]))
    for values in (calibration.probabilities(ascending), 1 - calibration.p_values(ascending)):
        assert ((values >= 0) & (values <= 1)).all()
        assert (np.diff(values) >= 0).all()
    assert (np.diff(Normaliser.fit(fitted).apply(ascending)) >= 0).all()
    assert np.isfinite(automatic_threshold(fitted))


def test_p_values_are_conformal() -> None:
    """Protects the definition, (1 + scores as large) / (n + 1), ties included."""
    fitted = np.round(usual(200), 1)
    scores = np.round(usual(50, seed=2), 1)
    expected = (1 + (fitted[None] >= scores[:, None]).sum(1)) / 201
    np.testing.assert_array_equal(Calibration.fit(fitted).p_values(scores), expected)


def test_p_values_of_many_scores_err_to_the_safe_side() -> None:
    """Protects the promise of p-values when only some order statistics are kept."""
    fitted, scores = usual(50_000), usual(5_000, seed=2)
    calibration = Calibration.fit(fitted)
    exact = (1 + len(fitted) - np.searchsorted(np.sort(fitted), scores)) / (len(fitted) + 1)
    kept = calibration.p_values(scores)
    assert len(calibration.values) == MOST_ORDER_STATISTICS
    assert (kept >= exact).all()
    assert (kept - exact).max() < 1e-3
    np.testing.assert_array_equal(kept[exact < 0.02], exact[exact < 0.02])


def test_p_values_of_usual_rows_are_uniform() -> None:
    """Protects their meaning: a share p of usual rows has a p-value of at most p."""
    p_values = Calibration.fit(usual(5_000)).p_values(usual(2_000, seed=2))
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_probabilities_sum_to_about_the_number_of_anomalies() -> None:
    """Protects calibration: no share of anomalies is told, and none is invented."""
    assert Calibration.fit(usual(5_000)).probabilities(usual(5_000, seed=3)).mean() < 0.003
    scores = polluted(5_000, odd=250)
    probabilities = Calibration.fit(scores).probabilities(scores)
    assert probabilities.mean() == pytest.approx(0.05, abs=0.01)
    assert probabilities[-250:].min() > 0.9


@pytest.mark.parametrize("share", [0.01, 0.05, 0.15])
def test_automatic_threshold_needs_no_contamination(share: float) -> None:
    """Protects the default: planted anomalies are marked, hardly anything else, at any share."""
    odd = int(2000 * share)
    scores = polluted(2000, odd)
    marked = scores > automatic_threshold(scores)
    assert marked[-odd:].all()
    assert marked[:-odd].mean() < 0.01


def test_automatic_threshold_is_the_fence_of_the_adjusted_boxplot() -> None:
    """Protects the published formula, for scores as little skewed as most are."""
    scores = usual(500) + 5
    assert 0.1 < medcouple(scores) < 0.25
    lower, upper = np.quantile(scores, (0.25, 0.75))
    fence = upper + 1.5 * np.exp(3 * medcouple(scores)) * (upper - lower)
    assert automatic_threshold(scores) == pytest.approx(fence)


def test_automatic_threshold_where_anomalies_skew_the_scores() -> None:
    """Protects from masking: the skewness that anomalies make does not hide them."""
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.exponential(size=1800), generator.uniform(7, 9, 200)])
    assert medcouple(scores) > 0.4
    assert (scores > automatic_threshold(scores))[-200:].all()


def test_automatic_threshold_of_tied_scores() -> None:
    """Protects data with many equal rows: rare others are marked, common others are not."""
    rare = np.array([0.0] * 97 + [1.0] * 3)
    assert (rare > automatic_threshold(rare)).sum() == 3
    common = np.concatenate([np.zeros(800), np.random.default_rng(0).random(200)])
    assert not (common > automatic_threshold(common)).any()
    assert not (np.ones(9) > automatic_threshold(np.ones(9))).any()


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
def test_false_discovery_rate_agrees_with_scipy(rate: float) -> None:
    """Protects the procedure of Benjamini and Hochberg."""
    calibration = Calibration.fit(usual(3_000))
    scores = np.concatenate([usual(950, seed=2), np.linspace(5, 40, 50)])
    p_values = calibration.p_values(scores)
    marked = scores > false_discovery_threshold(scores, p_values, rate)
    assert (marked == (false_discovery_control(p_values) <= rate)).all()
    assert marked.any()


def test_false_discovery_rate_with_nothing_or_all_to_find() -> None:
    """Protects the ends: nothing is marked without evidence, all rows can be."""
    scores = np.arange(5.0)
    assert not (scores > false_discovery_threshold(scores, np.full(5, 0.9), 0.1)).any()
    assert (scores > false_discovery_threshold(scores, np.full(5, 0.01), 0.1)).all()


@settings(max_examples=40)
@given(any_scores, st.floats(0, 1))
def test_contamination_marks_at_most_the_share(
    scores: npt.NDArray[np.float64], share: float
) -> None:
    """Protects a wanted share: never more rows, and as many as distinct scores allow."""
    marked = int((scores > contamination_threshold(scores, share)).sum())
    wanted = min(int(len(scores) * share + 1e-9), len(scores) - 1)
    assert marked <= wanted
    if len(np.unique(scores)) == len(scores):
        assert marked == wanted


def test_calibrations_are_kept_without_pickle() -> None:
    """Protects models that are stored: arrays and numbers are all there is."""
    calibration = Calibration.fit(usual(300))
    kept, _ = take_apart(calibration)
    assert sum(array.size for array in kept.values()) == 900
    restored = Calibration(**vars(calibration) | {"tail": UsualTail(**vars(calibration.tail))})
    np.testing.assert_array_equal(
        restored.probabilities(usual(9)), calibration.probabilities(usual(9))
    )

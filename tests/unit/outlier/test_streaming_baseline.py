import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import iqr

from services.outlier.domain.detector import Matrix
from services.outlier.domain.streaming.baseline import Baseline


def stream(count: int, features: int = 3, gaps: float = 0.1) -> Matrix:
    generator = np.random.default_rng(0)
    rows: Matrix = generator.normal(size=(count, features)) * 10 ** np.arange(features) + 5
    rows[generator.random(rows.shape) < gaps] = np.nan
    return rows


def test_medians_and_scales_are_those_of_the_last_rows() -> None:
    """Protects exactness: no decay, no noise, whatever came before the window."""
    rows = stream(640)
    baseline = Baseline(256, 3)
    baseline.score_and_learn(np.concatenate([stream(64) * 1e6, rows]))
    last = rows[-256:]
    spread = iqr(last, axis=0, nan_policy="omit") / 1.349
    np.testing.assert_allclose(baseline.scale, spread, rtol=0.05)
    difference = baseline.centre - np.nanmedian(last, axis=0)
    assert (np.abs(difference) < 0.05 * spread).all()


def test_missing_numbers_are_passed_over() -> None:
    """Protects rows with gaps: they are judged by what is there, an empty row is usual."""
    baseline = Baseline(256, 3)
    baseline.score_and_learn(stream(256))
    full, gap, empty = baseline.score(np.array([[5, 5, 5e3], [np.nan, np.nan, 5e3], [np.nan] * 3]))
    assert gap > full > 3
    assert empty == 0


def test_outliers_do_not_move_it() -> None:
    """Protects robustness: a fifth of anomalies hides none of them."""
    rows = stream(512, gaps=0)
    odd = np.random.default_rng(1).random(512) < 0.2
    rows[odd] *= 1e6
    scores = Baseline(256, 3).score_and_learn(rows)
    assert scores[64:][odd[64:]].min() > scores[64:][~odd[64:]].max()


@pytest.mark.parametrize("usual", [0.0, 7.0, -1e9, 1e150])
def test_a_change_of_what_never_changed_is_large(usual: float) -> None:
    """Protects constant features, whose interquartile range is 0."""
    baseline = Baseline(64, 1)
    baseline.score_and_learn(np.full((64, 1), usual))
    same, changed = baseline.score(np.array([[usual], [usual + max(abs(usual) * 0.01, 1)]]))
    assert same == 0
    assert changed > 100


@settings(max_examples=25)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_batches_change_nothing(sizes: list[int]) -> None:
    """Protects users from a result that depends on how their stream arrives."""
    rows = stream(sum(sizes))
    whole, parts, single = (Baseline(100, 3) for _ in range(3))
    expected = whole.score_and_learn(rows)
    cut = [parts.score_and_learn(part) for part in np.split(rows, np.cumsum(sizes)[:-1])]
    ones = [single.score_and_learn(row[None]) for row in rows]
    np.testing.assert_array_equal(np.concatenate(cut), expected)
    np.testing.assert_array_equal(np.concatenate(ones), expected)


@settings(max_examples=15)
@given(st.integers(0, 300))
def test_goes_on_where_it_stopped(at: int) -> None:
    """Protects long streams from restarts, at any row."""
    rows = stream(400)
    expected = Baseline(100, 3).score_and_learn(rows)[at:]
    first = Baseline(100, 3)
    first.score_and_learn(rows[:at])
    restored = Baseline.from_state(*first.state())
    np.testing.assert_array_equal(restored.score_and_learn(rows[at:]), expected)


def test_forgotten_rows_are_not_usual() -> None:
    """Protects labelled anomalies from moving the median."""
    rows = np.concatenate([np.zeros((40, 1)), np.ones((60, 1))])
    baseline = Baseline(100, 1)
    baseline.score_and_learn(rows)
    baseline.forget(np.arange(40, 100))
    baseline.score_and_learn(np.full((28, 1), np.nan))
    assert baseline.centre[0] == 0

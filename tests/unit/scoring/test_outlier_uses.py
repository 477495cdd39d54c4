"""What differences on held-out folds say, and what is adopted for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from common.scoring.outlier_uses import compare, corrected_difference

SCORES = st.floats(-1e6, 1e6, allow_subnormal=False)
KEEP = [0.50, 0.52, 0.49, 0.51, 0.50]


def shifted(by: float, noise: float = 0.0) -> list[float]:
    """Scores that are better or worse than those of KEEP, by about so much."""
    signs = (1, -1, 0, 1, -1)
    return [score + by + noise * sign for score, sign in zip(KEEP, signs, strict=True)]


@pytest.mark.parametrize("folds", range(3, 21))
def test_lower_bound_is_that_of_the_corrected_t_test(folds: int) -> None:
    """Protects the formula of Nadeau and Bengio, and the table of quantiles."""
    differences = np.random.default_rng(folds).normal(1, 1, folds)
    found = corrected_difference(differences.tolist())
    error = math.sqrt((1 / folds + 1 / (folds - 1)) * differences.var(ddof=1))
    assert found.standard_error == pytest.approx(error)
    quantile = stats.t.ppf(0.975, folds - 1)
    assert found.lower_bound == pytest.approx(differences.mean() - quantile * error, rel=1e-6)


def test_chance_alone_is_rarely_adopted() -> None:
    """Protects from weights for nothing: both comparisons together are wrong in at most 5 %.

    The differences of folds share a part, as those of models with common training rows do: with
    the correlation that the correction stands for, 1 / folds.
    """
    generator, folds, tries = np.random.default_rng(0), 5, 4000
    wrong = 0
    for _ in range(tries):
        shared = generator.normal(size=(3, 1)) * math.sqrt(1 / folds)
        scores = shared + generator.normal(size=(3, folds)) * math.sqrt(1 - 1 / folds)
        named = {"keep": scores[0], "drop": scores[1], "down_weight": scores[2]}
        wrong += compare(named, larger_is_better=True).adopted != "keep"  # type: ignore[arg-type]
    assert wrong / tries < 0.055


def test_a_clear_gain_is_adopted() -> None:
    """Protects the point of it all, and the reasons that people read."""
    found = compare(
        {"keep": KEEP, "drop": shifted(0.1, 0.01), "down_weight": shifted(0.01, 0.05)},
        larger_is_better=True,
    )
    assert found.adopted == "drop"
    assert [result.use for result in found.results] == ["keep", "drop", "down_weight"]
    assert [result.adopted for result in found.results] == [False, True, False]
    keep, drop, down = found.results
    assert keep.reason == "DROP is clearly better."
    assert drop.lower_bound > 0 and "clearly better" in drop.reason
    assert down.lower_bound < 0 < down.difference and "chance" in down.reason
    assert keep.difference == keep.standard_error == keep.lower_bound == 0


def test_of_two_clear_gains_the_larger_is_adopted() -> None:
    """Protects the choice."""
    found = compare(
        {"keep": KEEP, "drop": shifted(0.1, 0.01), "down_weight": shifted(0.2, 0.01)},
        larger_is_better=True,
    )
    assert found.adopted == "down_weight"
    assert "by more" in found.results[1].reason


def test_a_loss_is_better_when_it_is_smaller() -> None:
    """Protects the sign."""
    worse, better = shifted(0.1, 0.01), shifted(-0.1, 0.01)
    found = compare({"keep": KEEP, "drop": worse, "down_weight": better}, larger_is_better=False)
    assert found.adopted == "down_weight"
    assert found.results[1].difference == pytest.approx(-0.1)
    assert found.results[1].reason == "It is no better than KEEP."


def test_scores_that_are_no_numbers_claim_nothing() -> None:
    """Protects from a loss that overflowed: it adopts nothing and breaks nothing."""
    broken = [*KEEP[:4], math.inf]
    found = compare({"keep": broken, "drop": KEEP, "down_weight": KEEP}, larger_is_better=False)
    assert found.adopted == "keep"


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=3, max_size=20))
def test_any_scores_can_be_compared(scores: list[tuple[float, float]]) -> None:
    """Protects the run from losses at the edge of what floats can hold: all workers would die."""
    keep, drop = map(list, zip(*scores, strict=True))
    found = compare({"keep": keep, "drop": drop, "down_weight": keep}, larger_is_better=False)
    assert found.adopted in ("keep", "drop")
    if not all(map(math.isfinite, keep)):
        assert found.adopted == "keep"


@given(st.lists(SCORES, min_size=3, max_size=20), SCORES)
def test_what_is_no_better_anywhere_is_never_adopted(keep: list[float], lost: float) -> None:
    """Protects KEEP: a use has to win on average, whatever the numbers."""
    worse = [score - abs(lost) for score in keep]
    found = compare({"keep": keep, "drop": keep, "down_weight": worse}, larger_is_better=True)
    assert found.adopted == "keep"
    assert all(result.lower_bound <= result.difference <= 0 for result in found.results)

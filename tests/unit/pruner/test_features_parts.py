"""What columns are judged by: codes, groups, p-values and knock-offs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from services.pruner.domain.features.coding import BINS, Coding, numbers_of
from services.pruner.domain.features.grouping import STRONG, dependence, groups_of
from services.pruner.domain.features.knockoffs import Knockoffs, chance_of, replaced
from services.pruner.domain.features.relevance import alone, discoveries

CELLS = st.one_of(
    st.lists(st.none() | st.text("ab ", max_size=3), min_size=12, max_size=12),
    st.lists(st.floats(allow_infinity=True), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.lists(st.integers(-(2**40), 2**40), min_size=12, max_size=12),
    st.lists(st.none() | st.binary(max_size=2), min_size=12, max_size=12),
)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def coded(**columns: Any) -> Coding:
    return Coding.of(pd.DataFrame(columns))


@settings(max_examples=30)
@given(columns=st.lists(CELLS, min_size=1, max_size=3))
def test_any_columns_are_coded_and_swapped_within_themselves(columns: list[list[Any]]) -> None:
    """Scores are finite, bins within their range, and knock-offs made of the column's values."""
    frame = pd.DataFrame({f"column_{place}": each for place, each in enumerate(columns)})
    coding = Coding.of(frame)
    assert np.isfinite(coding.scores).all()
    assert coding.bins.min() >= 0
    assert coding.bins.max() < BINS
    order = Knockoffs.of(coding, coding).order([0], generator())
    assert sorted(order.tolist()) == list(range(len(frame)))
    swapped = replaced(frame, [0], order)
    assert swapped.dtypes.equals(frame.dtypes)
    assert swapped.iloc[:, 1:].equals(frame.iloc[:, 1:])


def test_times_and_missing_values_are_numbers() -> None:
    times = pd.Series(pd.to_datetime(["2020-01-02", None, "2020-01-01"]))
    found = numbers_of(times)
    assert np.isnan(found[1])
    assert found[0] > found[2]
    assert np.isnan(numbers_of(pd.Series([1, None], dtype="Int64"))[1])


def test_a_frequent_value_has_a_bin_and_leaves_the_others_theirs() -> None:
    """Else all that is not 0 would be one bin, where nine in ten are 0."""
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    bins = coded(values=values).bins[:, 0]
    assert len(set(bins[:900].tolist())) == 1
    sizes = np.unique(bins[900:], return_counts=True)[1]
    assert len(sizes) == BINS - 2
    assert sizes.max() - sizes.min() <= 1


def test_groups_hold_what_is_nearly_the_same_only() -> None:
    """Copies, also turned and by other names of categories; a chain of relatives is no group."""
    random = generator()
    first = random.normal(size=1000)
    second = first + 0.15 * random.normal(size=1000)
    third = second + 0.15 * random.normal(size=1000)
    letters = random.choice(list("abcd"), 1000)
    coding = coded(
        first=first,
        turned=-first,
        letters=letters,
        names=np.array(["one", "two", "three", "four"])[np.searchsorted(list("abcd"), letters)],
        second=second,
        third=third,
    )
    related = dependence(coding)
    found = [set(each) for each in groups_of(related)]
    assert {2, 3} in found
    assert all(related[np.ix_(list(each), list(each))].min() >= STRONG for each in found)
    assert any({0, 1} <= each and 5 not in each for each in found)


def test_chances_of_columns_without_a_relation_are_seldom_low() -> None:
    """Else noise stays more often than is allowed: for all kinds of columns."""
    random = generator()
    numbers = {f"number_{place}": random.normal(size=400) for place in range(100)}
    sparse = {f"sparse_{place}": random.poisson(0.1, size=400) for place in range(100)}
    chances = alone(coded(**numbers, **sparse), random.integers(3, size=400), random)
    assert 0.02 < (chances < 0.1).mean() < 0.15
    assert (chances < 0.01).mean() < 0.03
    assert chances.min() > 1e-5


def test_chances_of_related_columns_are_low() -> None:
    """Also where it is not more or less, but the middle, a gap or what is rare, that tells."""
    random = generator()
    values = random.normal(size=600)
    gaps = np.where(random.random(600) < 0.5, np.nan, 1.0)
    rare = (random.random(600) < 0.05) * (1.0 + random.random(600))
    coding = coded(values=values, gaps=gaps, rare=rare, noise=random.normal(size=600))
    truth = np.square(values) + np.isnan(gaps) + 2 * (rare > 0) + 0.3 * random.normal(size=600)
    chances = alone(coding, truth, random)
    assert max(chances[:3]) < 1e-6 < chances[3]
    assert (alone(coding, np.ones(600), random) == 1.0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_discoveries_are_those_of_benjamini_and_hochberg(values: list[float], rate: float) -> None:
    """The same as scipy's adjusted p-values say, but where rounding decides."""
    adjusted = false_discovery_control(values)
    found = discoveries(np.array(values), rate)
    clear = np.abs(adjusted - rate) > 1e-9
    assert np.array_equal(found[clear], (adjusted <= rate)[clear])


def test_knockoffs_keep_what_other_columns_tell_and_lose_the_rest() -> None:
    random = generator()
    base = random.normal(size=2000)
    own = random.normal(size=2000)
    coding = coded(base=base, column=base + own)
    scores = coding.scores[:, 1][Knockoffs.of(coding, coding).order([1], random)]
    assert np.corrcoef(scores, base)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert abs(np.corrcoef(scores, own)[0, 1]) < 0.06


def test_a_column_that_others_determine_hardly_changes() -> None:
    random = generator()
    first, second = random.normal(size=(2, 1000))
    coding = coded(first=first, second=second, total=first + second)
    scores = coding.scores[:, 2][Knockoffs.of(coding, coding).order([2], random)]
    assert np.corrcoef(scores, coding.scores[:, 2])[0, 1] > 0.95


def test_the_chance_of_increases() -> None:
    assert chance_of(np.zeros(10)) == 1.0
    assert chance_of(np.ones(1)) == 1.0
    assert chance_of(np.array([1.0, 1.1, 0.9, 1.0])) < 1e-3
    assert chance_of(-np.array([1.0, 1.1, 0.9, 1.0])) > 0.99

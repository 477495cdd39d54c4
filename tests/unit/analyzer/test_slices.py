"""Slices: what is planted is found, in words; noise is not; nothing is told twice."""

import re
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common.data.rows import Values
from common.data.schema import Column, ColumnType
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.slice_search import Condition, Search, permutation_p_value
from services.analyzer.domain.slices import SliceSearch, find_slices
from services.analyzer.domain.traits import label_trait, number_trait
from tests.support.analysis import sample_of
from tests.unit.analyzer.behaviour_support import noise_sample, numbers_sample

ROWS = 4000
Generator = np.random.Generator
Numbers = npt.NDArray[np.float64]


def numbers_of(sample: Sample) -> dict[str, Numbers]:
    return {name: each.astype(np.float64) for name, each in sample.raw.columns.items()}


def search(losses: Values, sample: Sample, **options: object) -> SliceSearch:
    return find_slices(
        np.asarray(losses, np.float64),
        sample,
        Budget(60),
        **{"seed": 0} | options,  # type: ignore[arg-type]
    )


def wrong(worse: Values, seed: int = 0, usual: float = 0.1, there: float = 0.5) -> Numbers:
    """Returns 1 for rows that are wrong: more often where it is worse."""
    drawn = np.random.default_rng(seed).random(len(worse))
    return np.asarray(drawn < np.where(worse, there, usual), np.float64)


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(3)


def test_planted_condition_on_one_column() -> None:
    """A stretch of one column that is worse is found with its edges, and nothing else."""
    sample = noise_sample(ROWS, 6)
    worse = numbers_of(sample)["c3"] < -1
    (found,) = search(wrong(worse), sample).slices
    assert found.columns == ("c3",)
    assert re.fullmatch(r"c3 below -(1|1\.0\d|0\.9\d?)", found.condition)
    assert (found.mask == worse).mean() > 0.99
    assert found.mean == pytest.approx(0.5, abs=0.06)
    assert found.elsewhere == pytest.approx(0.1, abs=0.02)
    assert found.p_value < 1e-6


def test_planted_condition_on_two_columns() -> None:
    """Where only both together are worse, they are told together and not each by itself."""
    sample = noise_sample(ROWS, 6)
    columns = numbers_of(sample)
    worse = (columns["c1"] < -0.5) & (columns["c4"] > 0.5)
    (found,) = search(wrong(worse), sample).slices
    assert found.columns == ("c1", "c4")
    assert re.fullmatch(r"c1 below -0\.[45]\d* and c4 at least 0\.[45]\d*", found.condition)
    assert (found.mask == worse).mean() > 0.98


def test_second_column_that_says_nothing_is_not_told() -> None:
    """Two planted slices of one column each: no condition joins them to others for nothing."""
    sample = noise_sample(2 * ROWS, 5)
    columns = numbers_of(sample)
    losses = wrong(columns["c0"] < -1.2) + wrong(columns["c2"] > 1.2, seed=1)
    found = search(losses, sample).slices
    assert {each.columns for each in found[:2]} == {("c0",), ("c2",)}
    assert all(set(each.columns) == {"c0", "c2"} for each in found[2:])


def test_same_rows_are_told_once() -> None:
    """Of columns that say the same, one is told."""
    first = numbers_of(noise_sample(ROWS, 1))["c0"]
    sample = numbers_sample({"metres": first, "feet": first * 3.28, "miles": first / 1609})
    assert len(search(wrong(first > 1), sample).slices) == 1


@pytest.mark.parametrize("kind", ["wrong", "skewed", "differences"])
def test_noise_has_no_slices(kind: str) -> None:
    """Where errors have nothing to do with columns, hardly any search finds something."""
    found = 0
    for seed in range(30):
        generator = np.random.default_rng(seed)
        losses = {
            "wrong": lambda own: own.random(400) < 0.1,
            "skewed": lambda own: own.lognormal(sigma=2, size=400),
            "differences": lambda own: own.integers(-1, 2, 400),
        }[kind](generator)
        found += bool(search(losses, noise_sample(400, 5, seed + 100), seed=seed).slices)
    assert found <= 4


def test_labels_missing_values_and_booleans(generator: Generator) -> None:
    """Conditions on labels, on missing values and on booleans are found, and read well."""
    cities = generator.integers(-1, 4, ROWS).astype(np.int32)
    ages = generator.normal(40, 10, ROWS)
    ages[generator.random(ROWS) < 0.1] = np.nan
    flags = generator.integers(0, 2, ROWS).astype(np.int32)
    columns = {
        "city": Column("city", ColumnType.CATEGORICAL, categories=("Aix", "Bonn", "Cork", "Dax")),
        "age": Column("age", ColumnType.NUMERIC),
        "member": Column("member", ColumnType.BOOLEAN),
    }
    sample = sample_of(columns, {"city": cities, "age": ages, "member": flags}, None)
    assert search(wrong(cities == 2), sample).slices[0].condition == "city = Cork"
    assert search(wrong(cities == -1), sample).slices[0].condition == "city missing"
    assert search(wrong(np.isnan(ages)), sample).slices[0].condition == "age missing"
    both = search(wrong((flags == 1) & (cities == 0)), sample).slices[0]
    assert set(both.condition.split(" and ")) == {"member = true", "city = Aix"}


def test_texts_times_and_images(generator: Generator) -> None:
    """Lengths of texts, dates, brightness and contrast of images are looked at too."""
    lengths = generator.integers(1, 200, ROWS)
    texts = np.array(["x" * int(each) for each in lengths], dtype=object)
    days = generator.integers(0, 365, ROWS)
    times = (days * 86_400_000_000).astype(np.int64)
    light = generator.integers(20, 200, ROWS)
    images = np.clip(light[:, None, None, None] + np.zeros((1, 1, 4, 4)), 0, 255).astype(np.uint8)
    columns = {
        "note": Column("note", ColumnType.TEXT),
        "day": Column("day", ColumnType.TIMESTAMP),
        "photo": Column("photo", ColumnType.IMAGE, shape=(1, 4, 4)),
    }
    sample = sample_of(columns, {"note": texts, "day": times, "photo": images}, None)
    assert (
        search(wrong(lengths < 25), sample).slices[0].condition.startswith("length of note below")
    )
    assert search(wrong(days >= 300), sample).slices[0].condition.startswith("day from 1970-10-2")
    dark = search(wrong(light < 50), sample).slices[0]
    assert dark.condition.startswith("brightness of photo below 0.")


def test_other_traits_are_conditions_too() -> None:
    """What a caller adds, such as the predicted class, is looked at like a column."""
    predicted = np.arange(ROWS) % 5
    trait = label_trait("prediction", "prediction", predicted, tuple("abcde"), 20)
    assert trait is not None
    (found,) = search(wrong(predicted == 3), noise_sample(ROWS, 2), others=[trait]).slices
    assert found.condition == "prediction = d"


def test_differences_of_models_have_slices(generator: Generator) -> None:
    """Losses may be differences: what one model does worse is found, what it does better is not."""
    sample = noise_sample(ROWS, 3)
    worse, better = numbers_of(sample)["c0"] > 1, numbers_of(sample)["c1"] > 1
    losses = generator.normal(size=ROWS) + np.where(worse, 1.0, 0) - np.where(better, 1.0, 0)
    assert search(losses, sample).slices[0].columns == ("c0",)
    assert search(-losses, sample).slices[0].columns == ("c1",)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_size_of_losses_does_not_matter(size: float) -> None:
    """Tiny and huge losses give the same slices: no square of them overflows."""
    sample = noise_sample(ROWS, 2)
    losses = wrong(numbers_of(sample)["c0"] > 1)
    assert search(losses * size, sample).slices[0].columns == ("c0",)


def test_nothing_to_find() -> None:
    """Equal losses, constant columns and few rows give none; few rows are told of."""
    assert search(np.ones(500), noise_sample(500, 2)).slices == ()
    flat = numbers_sample({"flat": np.ones(500)})
    assert search(wrong(np.arange(500) < 250), flat).slices == ()
    few = search(np.arange(30.0), noise_sample(30, 2))
    assert few.slices == ()
    assert "30 rows" in few.notes[0]


def test_spent_budget_is_told() -> None:
    """Without time, single columns and some pairs are still looked at, and it says so."""
    sample = noise_sample(500, 12)
    losses = wrong(numbers_of(sample)["c0"] > 1)
    cut = find_slices(losses, sample, Budget(0), seed=0)
    assert cut.slices[0].columns == ("c0",)
    assert cut.notes == ("Conditions on 50 of 66 pairs of columns were tried.",)


def test_cancelling_stops() -> None:
    """A search that is cancelled raises what the check raises."""

    def stop() -> None:
        raise KeyboardInterrupt

    sample = noise_sample(ROWS, 3)
    with pytest.raises(KeyboardInterrupt):
        find_slices(wrong(numbers_of(sample)["c0"] > 1), sample, Budget(60, stop), seed=0)


def test_columns_are_left_alone() -> None:
    """Neither columns nor losses are changed."""
    sample = noise_sample(ROWS, 3)
    before = numbers_of(sample)
    losses = wrong(before["c0"] > 1)
    kept = losses.copy()
    search(losses, sample)
    assert np.array_equal(losses, kept)
    for name, each in before.items():
        assert np.array_equal(sample.raw.columns[name], each)


@settings(max_examples=25)
@given(
    values=st.lists(
        st.one_of(st.floats(), st.sampled_from([0.0, 1.0, float("nan"), float("inf")])),
        min_size=60,
        max_size=120,
    ),
    seed=st.integers(0, 5),
)
def test_any_numbers_can_be_searched(values: list[float], seed: int) -> None:
    """Columns of any numbers give masks that fit the rows that they are told to have."""
    column = np.array(values)
    with np.errstate(over="ignore", invalid="ignore"):
        sample = numbers_sample({"any": column, "other": np.arange(len(values)) % 7.0})
    losses = np.random.default_rng(seed).exponential(size=len(values))
    for each in search(losses, sample).slices:
        assert each.rows == each.mask.sum()
        assert each.mean > each.elsewhere
        assert 0 <= each.p_value <= 0.05


@settings(max_examples=50)
@given(values=st.lists(st.floats(-1e9, 1e9), min_size=40, max_size=200))
def test_bins_of_numbers(values: list[float]) -> None:
    """Codes rise with values, and no condition on a trait is met by all rows or said twice."""
    column = np.array(values)
    trait = number_trait("any", "any", column, 5)
    if trait is None:
        assert len(np.unique(column)) == 1
        return
    assert (np.diff(trait.codes[np.argsort(column, kind="stable")]) >= 0).all()
    said = [trait.condition(run) for run in trait.runs.tolist()]
    assert len(set(said)) == len(said)
    assert not any(trait.meets(run).all() for run in trait.runs.tolist())


def test_p_value_is_that_of_all_permutations() -> None:
    """The p-value is near the share of all draws of rows with so large a mean."""
    losses = np.random.default_rng(0).exponential(size=18)
    inside = np.argsort(-losses)[[0, 2, 5, 9, 12]]
    mask = np.isin(np.arange(18), inside)
    sums = np.array([losses[list(rows)].sum() for rows in combinations(range(18), 5)])
    exact = (sums >= losses[mask].sum() - 1e-12).mean()
    assert permutation_p_value(losses, mask) == pytest.approx(exact, rel=0.15)


def test_p_value_of_two_losses_is_exact() -> None:
    """Of right and wrong rows it is Fisher's one-sided exact test."""
    losses = np.repeat([1.0, 0.0, 1.0, 0.0], [6, 4, 5, 35])
    mask = np.arange(50) < 10
    expected = stats.fisher_exact([[6, 4], [5, 35]], alternative="greater").pvalue
    assert permutation_p_value(losses, mask) == pytest.approx(expected)


def test_p_values_under_chance_are_not_too_small() -> None:
    """With very skewed losses, small sets of rows are significant no more often than they may."""
    generator = np.random.default_rng(0)
    small = 0
    for _ in range(2000):
        losses = generator.lognormal(sigma=1.5, size=200)
        small += permutation_p_value(losses, np.arange(200) < 12) < 0.01
    assert small / 2000 < 0.018


def test_edges_are_not_moved_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving the edges of many strong pairs takes longer than finding them."""
    moved = []
    refined = Search.refined

    def counted(search: Search, condition: Condition) -> Condition:
        moved.append(condition)
        return refined(search, condition)

    monkeypatch.setattr(Search, "refined", counted)
    sample = noise_sample(ROWS, 3)
    losses = wrong((numbers_of(sample)["c0"] > 0.5) & (numbers_of(sample)["c1"] > 0.5))
    find_slices(losses, sample, Budget(60), seed=0)
    assert moved
    moved.clear()
    assert find_slices(losses, sample, Budget(0), seed=0).slices
    assert not moved

"""Partial dependence, individual curves, accumulated local effects and interactions are right."""

import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.relations.accumulated import accumulated_effect
from services.analyzer.domain.relations.dependence import MOST_CURVES, dependence
from services.analyzer.domain.relations.grid import GRID_POINTS, grid_of
from services.analyzer.domain.relations.interactions import interactions
from services.analyzer.domain.relations.similarity import similarity_order
from services.analyzer.domain.subject import Subject
from tests.support.analysis import breast_cancer, diabetes, sklearn_model, subject_of
from tests.unit.analyzer.relations_support import column, prober_of, ranked, subject_with

GENERATOR = np.random.default_rng(0)
ROWS = 400
Numbers = npt.NDArray[np.float64]
A, B = GENERATOR.normal(size=(2, ROWS))


def curve_of(subject: Subject, name: str) -> tuple[Numbers, Numbers]:
    """Returns points and accumulated effects of a column."""
    own = subject.sample.columns[name]
    grid = grid_of(own, subject.sample.raw.columns[name])
    found = accumulated_effect(subject.sample.raw, own, grid, prober_of(subject), seed=0)
    assert found is not None
    return grid.values.astype(np.float64), found.effect[:, 0]


def logistic() -> Subject:
    """A classifier of 30 columns."""
    whole = breast_cancer()
    columns = whole.sample.columns
    matrix = np.column_stack([*whole.sample.raw.columns.values()])
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, whole.truth)
    return subject_of(sklearn_model(fitted, columns, Task.CLASSIFICATION), whole.sample)


@pytest.mark.parametrize(("make", "place"), [(diabetes, 0), (logistic, 1)])
def test_partial_dependence_agrees_with_scikit_learn(
    make: Callable[[], Subject], place: int
) -> None:
    subject = make()
    raw = subject.sample.raw
    matrix = np.column_stack([*raw.columns.values()])
    for position in (2, 8):
        own = list(subject.sample.columns.values())[position]
        grid = grid_of(own, raw.columns[own.name])
        found = dependence(raw, own, grid, prober_of(subject, (place,)))
        expected = partial_dependence(
            subject.model.model.estimator,  # type: ignore[attr-defined]
            matrix,
            [position],
            custom_values={position: grid.values},
            response_method="auto" if place == 0 else "predict_proba",
            method="brute",
            kind="both",
        )
        np.testing.assert_allclose(found.mean[:, 0], expected["average"][0])
        rows = np.linspace(0, raw.count - 1, MOST_CURVES).astype(int)
        np.testing.assert_allclose(found.curves[:, :, 0], expected["individual"][0][rows])


def test_missing_values_are_asked_for_only_where_there_are_some() -> None:
    values = np.where(np.arange(ROWS) % 4 == 0, np.nan, A)
    subject = subject_with(
        lambda c: np.where(np.isnan(c["a"]), 7.0, c["a"]) + c["b"], {"a": values, "b": B}
    )
    raw = subject.sample.raw
    before = {name: each.copy() for name, each in raw.columns.items()}
    found = {
        name: dependence(raw, own, grid_of(own, raw.columns[name]), prober_of(subject))
        for name, own in subject.sample.columns.items()
    }
    grid = grid_of(column("a"), values)
    assert found["b"].missing is None
    assert found["a"].missing == pytest.approx([7 + B.mean()])
    # All rows count, also those in which the column is missing.
    np.testing.assert_allclose(found["a"].mean[:, 0], grid.values + B.mean())
    assert found["a"].rows == ROWS
    for name, each in before.items():
        np.testing.assert_array_equal(raw.columns[name], each)


def test_accumulated_effects_of_an_additive_function_are_its_terms() -> None:
    subject = subject_with(lambda c: 2 * c["a"] + np.sin(3 * c["b"]), {"a": A, "b": B})
    points, curve = curve_of(subject, "a")
    np.testing.assert_allclose(np.diff(curve), 2 * np.diff(points), atol=1e-12)
    points, curve = curve_of(subject, "b")
    np.testing.assert_allclose(np.diff(curve), np.diff(np.sin(3 * points)), atol=1e-12)


def test_accumulated_effects_are_right_where_columns_correlate() -> None:
    """Far from the data the function is steep; partial dependence goes there."""
    near = A + 0.1 * B

    def steep(columns: Mapping[str, Any]) -> Numbers:
        apart = np.abs(columns["a"] - columns["b"])
        return np.asarray(columns["a"] + 100 * np.maximum(0, apart - 2))

    subject = subject_with(steep, {"a": A, "b": near})
    points, curve = curve_of(subject, "a")
    np.testing.assert_allclose(np.diff(curve), np.diff(points), atol=1e-12)
    grid = grid_of(column("a"), A)
    wrong = dependence(subject.sample.raw, column("a"), grid, prober_of(subject)).mean[:, 0]
    assert np.ptp(wrong) > 10 * np.ptp(curve)


def test_effects_are_zero_on_average_over_the_rows() -> None:
    whole = np.round(A * 2)
    subject = subject_with(lambda c: c["a"] ** 2, {"a": whole, "b": B})
    points, curve = curve_of(subject, "a")
    _, low = np.unique(whole, return_counts=True)
    assert len(points) == len(low)
    bins = np.clip(np.searchsorted(points, whole) - 1, 0, len(points) - 2)
    assert ((curve[bins] + curve[bins + 1]) / 2).mean() == pytest.approx(0, abs=1e-12)


def test_rows_without_a_value_or_beyond_the_grid_have_no_effect() -> None:
    values = A.copy()
    values[:100] = np.nan
    values[100] = 1e9
    subject = subject_with(lambda c: np.nan_to_num(c["a"]) * 3, {"a": values, "b": B})
    own = subject.sample.columns["a"]
    grid = grid_of(own, values)
    found = accumulated_effect(subject.sample.raw, own, grid, prober_of(subject), seed=0)
    assert found is not None
    inside = (values >= grid.values[0]) & (values <= grid.values[-1])
    assert found.rows == inside.sum() < ROWS - 101
    np.testing.assert_allclose(np.diff(found.effect[:, 0]), 3 * np.diff(grid.values))


def test_the_band_is_wide_where_rows_differ_and_nil_where_they_do_not() -> None:
    bands = {}
    for name, function in (
        ("same", lambda c: 2 * c["a"]),
        ("different", lambda c: c["a"] * c["b"]),
    ):
        subject = subject_with(function, {"a": A, "b": B})
        grid = grid_of(column("a"), A)
        bands[name] = accumulated_effect(
            subject.sample.raw, column("a"), grid, prober_of(subject), seed=0
        )
    same, different = bands["same"], bands["different"]
    assert same is not None
    assert different is not None
    slopes = np.diff(same.high - same.low, axis=0)
    np.testing.assert_allclose(slopes, 0, atol=1e-12)
    assert (different.high - different.low).max() > 0.2
    assert (different.low <= different.effect).all()
    assert (different.effect <= different.high).all()


def test_effects_of_labels_are_differences_between_them() -> None:
    labels = ("blue", "green", "red", "white")
    codes = GENERATOR.integers(-1, 4, ROWS).astype(np.int32)
    height = np.array([5.0, 1.0, 3.0, -2.0, 100.0])  # the last is missing
    subject = subject_with(
        lambda c: height[c["color"]] + c["b"], {"color": codes, "b": B}, {"color": labels}
    )
    points, curve = curve_of(subject, "color")
    np.testing.assert_array_equal(points, [0, 1, 2, 3])
    np.testing.assert_allclose(curve - curve[0], height[:4] - height[0])
    assert curve[codes[codes >= 0]].mean() == pytest.approx(0, abs=1e-12)


def test_two_labels_are_enough() -> None:
    codes = np.array([0, 0, 0, 1], np.int8)
    subject = subject_with(
        lambda c: 4.0 * c["flag"] + c["b"], {"flag": codes, "b": B[:4]}, {"flag": ("no", "yes")}
    )
    np.testing.assert_allclose(curve_of(subject, "flag")[1], [-1, 3])


def test_labels_of_like_rows_are_neighbours() -> None:
    """Labels in the order of the alphabet lie otherwise on the line of another column."""
    codes = np.repeat(np.arange(4, dtype=np.int32), 100)
    place = np.array([2.0, 0.0, 3.0, 1.0])[codes] + 0.1 * GENERATOR.normal(size=400)
    zone = np.array([1, 0, 1, 0], np.int32)[codes]
    labels = {"label": list("abcd"), "zone": ["north", "south"]}
    subject = subject_with(
        lambda c: c["place"], {"label": codes, "place": place, "zone": zone}, labels
    )
    order = similarity_order(subject.sample.raw, "label", np.arange(4, dtype=np.int32))
    assert set(order[:2].tolist()) in ({0, 2}, {1, 3})


def test_without_other_columns_labels_stay_as_they_are() -> None:
    codes = np.arange(3, dtype=np.int32)
    subject = subject_with(lambda c: c["label"], {"label": codes}, {"label": list("abc")})
    np.testing.assert_array_equal(similarity_order(subject.sample.raw, "label", codes), codes)


def test_columns_that_add_up_do_not_interact() -> None:
    subject = subject_with(lambda c: c["a"] ** 3 + np.exp(c["b"]), {"a": A, "b": B})
    (pair,) = interactions(ranked(subject), subject, prober_of(subject), Budget(60)).pairs
    assert pair.h == 0
    assert pair.strength == 0
    assert pair.surface is None


def test_products_interact_and_come_first() -> None:
    c = GENERATOR.normal(size=ROWS)
    subject = subject_with(
        lambda columns: columns["a"] * columns["b"] + columns["c"], {"c": c, "a": A, "b": B}
    )
    found = interactions(ranked(subject), subject, prober_of(subject), Budget(60))
    best, *others = found.pairs
    assert best.names == ("a", "b")
    assert best.h is not None
    assert best.h > 0.8  # 1 but for the means of the few rows, which are not 0
    assert [each.strength for each in others] == [0, 0]
    surface = best.surface
    assert surface is not None
    values = [each.places for each in surface.grids]
    expected = np.outer(values[0] - A.mean(), values[1] - B.mean())
    np.testing.assert_allclose(surface.interaction, expected, atol=0.35)
    assert not found.notes


def test_columns_without_any_effect_have_no_h() -> None:
    subject = subject_with(lambda c: np.full(len(c["a"]), 0.25), {"a": A, "b": B})
    (pair,) = interactions(ranked(subject), subject, prober_of(subject), Budget(60)).pairs
    assert pair.h is None


def test_the_statistic_is_friedmans() -> None:
    """Against the definition, written down with loops."""
    few = {"a": A[:12], "b": B[:12]}
    subject = subject_with(lambda c: np.maximum(c["a"], c["b"]) + c["a"], few)
    (pair,) = interactions(ranked(subject), subject, prober_of(subject), Budget(60)).pairs
    a, b = few["a"], few["b"]
    joint = np.maximum(a, b) + a
    first = np.array([(np.maximum(each, b) + each).mean() for each in a])
    second = np.array([(np.maximum(a, each) + a).mean() for each in b])
    joint, first, second = (each - each.mean() for each in (joint, first, second))
    expected = ((joint - first - second) ** 2).sum() / (joint**2).sum()
    assert pair.h == pytest.approx(np.sqrt(expected))


@settings(max_examples=50)
@given(
    st.lists(st.one_of(st.floats(width=32), st.integers(0, 5).map(float)), min_size=1),
    st.integers(2, GRID_POINTS),
)
def test_points_are_values_of_the_data(values: list[float], most: int) -> None:
    grid = grid_of(column("a"), np.array(values), most)
    assert len(grid) <= most
    assert set(grid.values.tolist()) <= set(values)
    assert (np.diff(grid.values) > 0).all()
    assert bool(len(grid)) == bool(np.isfinite(values).any())


@settings(max_examples=50)
@given(st.lists(st.integers(-1, 30), min_size=1, max_size=100))
def test_points_of_labels_are_the_most_frequent_ones(codes: list[int]) -> None:
    own = column("a", [f"label {place}" for place in range(31)])
    grid = grid_of(own, np.array(codes, np.int32))
    counts = {code: codes.count(code) for code in codes if code >= 0}
    assert len(grid) == min(GRID_POINTS, len(counts))
    left = [count for code, count in counts.items() if code not in grid.values]
    assert max(left, default=0) <= min([counts[code] for code in grid.values.tolist()], default=0)
    assert grid.labels == tuple(own.labels[code] for code in grid.values.tolist())


def test_a_column_that_is_nearly_always_the_same_still_has_points() -> None:
    """Quantiles of a column that is 0 in 99.5 % of the rows are all 0."""
    values = np.zeros(10_000)
    values[:50] = np.arange(1, 51)
    grid = grid_of(Column("rare", ColumnType.NUMERIC), values)
    assert grid.values.tolist() == [0.0, 50.0]


def test_labels_of_which_most_do_not_occur_take_no_memory() -> None:
    """A column of a million labels: only those that occur are compared."""
    codes = np.repeat(np.arange(20), 5)
    raw = RawRows(
        {"few": codes, "many": codes * 50_000},
        {"few": [str(each) for each in range(20)], "many": []},
    )
    tracemalloc.start()
    order = similarity_order(raw, "few", np.arange(20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(order.tolist()) == list(range(20))
    assert peak < 10_000_000


def test_pairs_that_there_was_no_time_for_are_told() -> None:
    subject = subject_with(lambda c: c["c0"], {f"c{place}": A for place in range(6)})
    budget = Spent(60)
    found = interactions(ranked(subject), subject, prober_of(subject), budget)
    assert "There was time for 7 of 15 pairs of columns." in found.notes


class Spent(Budget):
    """Plenty to share, but none is left."""

    is_spent = True

"""Disturbances of all types of data: what they change, and what they never do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.robustness.columns import columns_of
from services.analyzer.domain.robustness.disturbance import Disturbance, disturbed
from services.analyzer.domain.robustness.findings import DisturbanceKind
from services.analyzer.domain.robustness.images import image_disturbances
from services.analyzer.domain.robustness.lags import distinct, series_disturbances
from services.analyzer.domain.robustness.tables import column_disturbances, table_disturbances
from services.analyzer.domain.robustness.texts import text_disturbances
from tests.unit.analyzer.robustness_support import subject_with

Kind = DisturbanceKind
LABELS = ("x", "y", "z")


def rows_of(disturbance: Disturbance, raw: RawRows, severity: float, seed: int = 0) -> RawRows:
    (found,) = disturbed(disturbance, raw, severity, seed)
    return found


def by_kind(found: list[Disturbance]) -> dict[DisturbanceKind, Disturbance]:
    return {each.kind: each for each in found}


def tabular(values: Mapping[str, Any]) -> tuple[RawRows, dict[DisturbanceKind, Disturbance]]:
    """Returns rows of `a` (numbers) and `b` (labels), with the disturbances of both."""
    subject = subject_with(lambda raw: np.zeros(len(raw["b"])), values, None, labels={"b": LABELS})
    return subject.sample.raw, by_kind(table_disturbances(columns_of(subject, Budget(60))))


@given(
    arrays.arrays(
        np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))
    ),
    st.data(),
)
def test_tables_keep_their_shape_and_are_not_changed_in_place(
    numbers: Any, data: st.DataObject
) -> None:
    """What is missing stays so, and codes stay codes of known labels or -1."""
    codes = data.draw(arrays.arrays(np.int32, len(numbers), elements=st.integers(-1, 2)))
    raw, found = tabular({"a": numbers, "b": codes})
    before = {name: each.copy() for name, each in raw.columns.items()}
    for disturbance in found.values():
        for severity in disturbance.severities:
            moved = rows_of(disturbance, raw, severity)
            assert moved.count == raw.count
            assert moved.columns["b"].dtype == codes.dtype
            assert set(np.unique(moved.columns["b"])) <= {-1, 0, 1, 2}
            if disturbance.kind is not Kind.SWAPPED:
                assert np.isnan(moved.columns["a"].astype(float)[np.isnan(numbers)]).all()
    for name, values in before.items():
        np.testing.assert_array_equal(values, raw.columns[name])


def test_shares_are_shares_and_stronger_ones_hold_the_milder() -> None:
    codes = np.random.default_rng(0).integers(0, 3, 5000)
    raw, found = tabular({"a": np.arange(5000.0), "b": codes})
    for kind, name in ((Kind.MISSING, "a"), (Kind.MISSING, "b"), (Kind.ANOTHER_LABEL, "b")):
        before = np.zeros(5000, bool)
        for severity in found[kind].severities:
            moved = rows_of(found[kind], raw, severity).columns[name]
            hit = moved != raw.columns[name]
            assert hit.mean() == pytest.approx(severity, abs=0.02)
            assert hit[before].all()
            before = hit


def test_missing_is_what_stands_for_it() -> None:
    raw, found = tabular({"a": np.arange(500.0), "b": np.ones(500, np.int64)})
    moved = rows_of(found[Kind.MISSING], raw, 0.4).columns
    assert np.isnan(moved["a"][moved["a"] != raw.columns["a"]].astype(float)).all()
    assert set(np.unique(moved["b"])) == {-1, 1}


def test_noise_is_in_units_of_the_deviation() -> None:
    raw, found = tabular({"a": np.arange(5000.0), "b": np.zeros(5000, np.int64)})
    for severity in found[Kind.NOISE].severities:
        moved: Any = rows_of(found[Kind.NOISE], raw, severity).columns["a"]
        change = moved - np.arange(5000.0)
        assert change.std() == pytest.approx(severity * np.arange(5000.0).std(), rel=0.05)


def test_of_one_column_only_that_one_is_disturbed() -> None:
    codes = np.random.default_rng(0).integers(0, 3, 100)
    subject = subject_with(
        lambda raw: np.zeros(len(raw["b"])),
        {"a": np.arange(100.0), "b": codes, "c": np.arange(100.0)},
        None,
        labels={"b": LABELS},
    )
    raw, columns = subject.sample.raw, columns_of(subject, Budget(60))
    for name, kinds in (
        ("a", {Kind.MISSING, Kind.GONE, Kind.NOISE, Kind.SHIFT}),
        ("b", {Kind.MISSING, Kind.GONE, Kind.ANOTHER_LABEL}),
    ):
        found = column_disturbances(columns, name)
        assert {each.kind for each in found} == kinds
        for each in found:
            moved = rows_of(each, raw, each.middle).columns
            changed = {
                other
                for other in raw.columns
                if not np.array_equal(moved[other], raw.columns[other], equal_nan=True)
            }
            assert changed == {name}


@given(st.lists(st.none() | st.text(max_size=60), min_size=1, max_size=8), st.integers(0, 9))
def test_texts_only_lose(texts: list[str | None], seed: int) -> None:
    """Words that are left stand in their order; typos do not make a text longer; None stays."""
    raw = RawRows({"t": np.array([*texts, None], dtype=object)[:-1]})
    found = by_kind(text_disturbances(["t"]))
    for severity in found[Kind.DROPPED_WORDS].severities:
        moved = rows_of(found[Kind.DROPPED_WORDS], raw, severity, seed).columns["t"]
        for before, after in zip(texts, moved.tolist(), strict=True):
            assert (before is None) == (after is None)
            words = iter((before or "").split())
            assert all(word in words for word in (after or "").split())
    for severity in found[Kind.TYPOS].severities:
        moved = rows_of(found[Kind.TYPOS], raw, severity, seed).columns["t"]
        for before, after in zip(texts, moved.tolist(), strict=True):
            assert len(after or "") <= len(before or "")


@settings(max_examples=20)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(
            st.integers(1, 3), st.sampled_from([1, 3, 4]), st.integers(2, 12), st.integers(2, 12)
        ),
    )
)
def test_images_stay_images(images: Any) -> None:
    """Bytes of the same shape, whatever the size; not changed in place."""
    raw, before = RawRows({"i": images}), images.copy()
    for disturbance in image_disturbances(["i"]):
        for severity in disturbance.severities:
            moved = rows_of(disturbance, raw, severity).columns["i"]
            assert moved.dtype == np.uint8
            assert moved.shape == images.shape
    np.testing.assert_array_equal(images, before)


def test_images_are_disturbed_as_told() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(60, 190, (20, 3, 20, 20)).astype(np.uint8)
    raw, found = RawRows({"i": images}), by_kind(image_disturbances(["i"]))

    def change(kind: DisturbanceKind, severity: float) -> Any:
        return rows_of(found[kind], raw, severity).columns["i"].astype(float) - images

    np.testing.assert_allclose(change(Kind.BRIGHTER, 0.1), 25.5, atol=0.51)
    np.testing.assert_allclose(change(Kind.DARKER, 0.1), -25.5, atol=0.51)
    assert change(Kind.PIXEL_NOISE, 0.05).std() == pytest.approx(12.75, rel=0.05)
    flat = images + change(Kind.LESS_CONTRAST, 0.75)
    assert flat.std() == pytest.approx(images.std() / 4, rel=0.05)
    covered = (change(Kind.OCCLUSION, 0.5) != 0).any(axis=1)
    assert covered.sum(axis=(1, 2)).max() <= 100
    assert covered.sum(axis=(1, 2)).min() >= 90  # some pixels are of the mean colour by chance
    blurred = images + change(Kind.BLUR, 0.08)
    assert blurred.std() < images.std() / 2
    assert blurred.mean() == pytest.approx(images.mean(), rel=0.02)
    assert (change(Kind.MOVED, 0.1) != 0).any()


def test_moved_images_are_found_elsewhere() -> None:
    """By whole pixels, the inner part is the same."""
    image = np.random.default_rng(0).integers(0, 255, (1, 1, 20, 20)).astype(np.uint8)
    found = by_kind(image_disturbances(["i"]))[Kind.MOVED]
    moved = rows_of(found, RawRows({"i": image}), 0.1).columns["i"][0, 0]
    ways = [(2, 0), (-2, 0), (0, 2), (0, -2)]
    inner = slice(3, -3)
    assert any(
        np.array_equal(np.roll(image[0, 0], way, (0, 1))[inner, inner], moved[inner, inner])
        for way in ways
    )


def lagged(lags: int, rows: int = 40) -> tuple[RawRows, dict[DisturbanceKind, Disturbance]]:
    """Returns rows of numbered columns that count up, and what disturbs them."""
    values = {f"lag_{lag}": np.arange(rows) * 100.0 + lag for lag in range(lags)}
    subject = subject_with(lambda raw: np.zeros(len(raw["lag_0"])), values, None)
    return subject.sample.raw, by_kind(series_disturbances(columns_of(subject, Budget(60))))


def matrix(raw: RawRows) -> Any:
    return np.column_stack([*raw.columns.values()])


def test_shuffled_lags_stay_in_their_window() -> None:
    raw, found = lagged(20)
    moved = matrix(rows_of(found[Kind.SHUFFLED_LAGS], raw, 0.2))
    assert (moved != matrix(raw)).any()
    for start in range(0, 20, 4):
        window = slice(start, start + 4)
        np.testing.assert_array_equal(np.sort(moved[:, window]), matrix(raw)[:, window])


def test_a_block_of_lags_is_missing() -> None:
    raw, found = lagged(20)
    gone = np.isnan(matrix(rows_of(found[Kind.MISSING_LAGS], raw, 0.2)).astype(float))
    assert (gone.sum(axis=1) == 4).all()
    assert (np.abs(np.diff(gone.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert len(np.unique(gone, axis=0)) > 5


def test_a_time_shift_moves_later() -> None:
    raw, found = lagged(20)
    moved = matrix(rows_of(found[Kind.TIME_SHIFT], raw, 0.1))
    np.testing.assert_array_equal(moved[:, 2:], matrix(raw)[:, :-2])
    np.testing.assert_array_equal(moved[:, :2], matrix(raw)[:, [0, 0]])


@given(st.integers(1, 40), st.integers(1, 2))
def test_severities_of_lags_are_whole_and_each_once(lags: int, least: int) -> None:
    found = distinct((0.02, 0.05, 0.1, 0.2, 0.4, 1.0), lags, least)
    counts = [share * lags for share in found]
    assert counts == pytest.approx(np.unique(np.round(counts)))
    assert 0 < counts[0] <= counts[-1] <= lags

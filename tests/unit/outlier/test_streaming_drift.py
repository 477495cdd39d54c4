from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import ADWIN

from services.outlier.domain.detector import Matrix
from services.outlier.domain.streaming.adaptive_windows import AdaptiveWindows
from services.outlier.domain.streaming.baseline import Baseline
from services.outlier.domain.streaming.drift import SCORE, Drift, DriftMonitor


def steps(kind: str, seed: int, count: int = 2400) -> npt.NDArray[np.float64]:
    """A stream whose mean jumps every 400 values."""
    generator = np.random.default_rng(seed)
    levels = np.repeat(generator.choice([0.1, 0.3, 0.4, 0.9, 1.5], 6), count // 6)
    if kind == "bits":
        return (generator.random(count) < levels).astype(float)
    if kind == "large":
        return np.asarray(generator.normal(levels * 1000, 300))
    return np.asarray(generator.normal(levels, 0.3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["numbers", "bits", "large"])
def test_alarms_are_those_of_river(kind: str, seed: int) -> None:
    """Protects the method: the same alarms at the same values as the reference, and its window."""
    values = steps(kind, seed)
    reference: Any = ADWIN(delta=0.002)  # type: ignore[no-untyped-call]
    expected = []
    for row, value in enumerate(values):
        reference.update(float(value))
        if reference.drift_detected:
            expected.append(row)
    windows = AdaptiveWindows(1, 0.002)
    assert [change.row for change in windows.update(values[:, None])] == expected
    if not reference.drift_detected:
        assert windows.widths[0] == reference.width


def test_streams_are_apart_and_miss_values() -> None:
    """Protects features from each other: one's gaps and changes are not another's."""
    values = np.stack([steps("numbers", seed) for seed in range(3)], axis=1)
    values[::2, 1] = np.nan
    together = AdaptiveWindows(3, 0.002).update(values)
    for stream in range(3):
        own = values[:, [stream]]
        alone = AdaptiveWindows(1, 0.002).update(own)
        found = [(change.row, change.before) for change in together if change.stream == stream]
        assert found == [(change.row, change.before) for change in alone]
    assert [change.row for change in together] == sorted(change.row for change in together)


def test_changes_tell_both_means() -> None:
    """Protects what users are told: from which mean to which."""
    values = np.random.default_rng(0).normal(np.repeat([1.0, 3.0], 500), 0.3)[:, None]
    (change,) = AdaptiveWindows(1, 0.002).update(values)
    assert 500 < change.row < 532
    assert change.before == pytest.approx(1, abs=0.05)
    assert change.after == pytest.approx(3, abs=0.5)
    assert change.length == pytest.approx(change.row - 499, abs=4)


@settings(max_examples=15)
@given(st.integers(0, 2400), st.integers(0, 2400))
def test_windows_go_on_where_they_stopped(one: int, other: int) -> None:
    """Protects long streams from restarts, and from batches of any size."""
    first, second = sorted((one, other))
    values = np.stack([steps("numbers", seed) for seed in range(2)], axis=1)
    expected = [change.row for change in AdaptiveWindows(2, 0.01).update(values)]
    windows = AdaptiveWindows(2, 0.01)
    found = [change.row for change in windows.update(values[:first])]
    windows = AdaptiveWindows.from_state(0.01, windows.state())
    found += [change.row + first for change in windows.update(values[first:second])]
    found += [change.row + second for change in windows.update(values[second:])]
    assert found == expected


def watched(rows: Matrix, scores: npt.NDArray[np.float64] | None = None) -> list[Drift]:
    """Returns the alarms of a monitor beside a baseline."""
    monitor, baseline = DriftMonitor(rows.shape[1], 0.002, 256), Baseline(256, rows.shape[1])
    scores = np.full(len(rows), np.nan) if scores is None else scores
    drifts: list[Drift] = []
    for first in range(0, len(rows) - 63, 64):
        part = slice(first, first + 64)
        monitor.look_again(first, baseline)
        baseline.score_and_learn(rows[part])
        drifts.extend(monitor.update(first, rows[part], scores[part], baseline))
    return drifts


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("jump", [2.0, 100.0])
def test_a_jump_is_reported_with_what_changed(jump: float, scale: float) -> None:
    """Protects alarms: in any units the feature, the means and about the row are right."""
    rows = np.random.default_rng(0).normal(size=(4000, 6)) + 10
    rows[2000:, 4] += jump
    (drift,) = watched(rows * scale)
    assert drift.feature == 4
    assert 2000 < drift.row < 2150
    assert drift.before == pytest.approx(10 * scale, abs=0.3 * scale)
    assert drift.after == pytest.approx((10 + jump) * scale, abs=0.7 * scale)


def test_no_alarms_without_drift() -> None:
    """Protects users from false alarms, on many features and heavy tails."""
    generator = np.random.default_rng(0)
    assert not watched(generator.normal(size=(8000, 40)))
    assert not watched(generator.standard_t(2, size=(8000, 10)))


def test_single_outliers_are_no_drift() -> None:
    """Protects against alarms from rows that are only anomalies."""
    rows = np.random.default_rng(0).normal(size=(4000, 3))
    rows[::100] = 1e9
    assert not watched(rows)


def test_a_second_jump_is_reported_too() -> None:
    """Protects long streams: after an alarm the new level is what is usual."""
    rows = np.random.default_rng(0).normal(size=(6000, 2))
    rows[2000:, 0] += 50
    rows[4000:, 0] += 50
    assert [drift.after for drift in watched(rows)] == pytest.approx([50, 100], abs=1)


def test_drift_of_scores_is_reported() -> None:
    """Protects against changes that no single feature shows."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=4000)
    scores[2000:] += 2
    (drift,) = watched(generator.normal(size=(4000, 2)), scores)
    assert drift.feature == SCORE
    assert drift.row > 2000


def test_wide_rows_are_watched_in_part() -> None:
    """Protects memory: of very many features some are watched, and named rightly."""
    rows = np.random.default_rng(0).normal(size=(1024, 3000))
    rows[512:] += 5
    drifts = watched(rows)
    assert 0 < len(drifts) <= 1000
    assert max(drift.feature for drift in drifts) == 2999

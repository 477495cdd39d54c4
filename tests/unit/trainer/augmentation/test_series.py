"""Changes of windows of time series."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.policies import (
    Jitter,
    Permutation,
    Scaling,
    TimeWarp,
    WindowSlice,
)
from services.trainer.domain.augmentation.series import (
    jittered,
    permuted,
    resampled,
    scaled,
    time_warped,
    window_sliced,
)


def draws(rows: int, seed: int = 0) -> Draws:
    return Draws.of_rows(seed, 0, np.arange(rows))


def rising(rows: int, length: int, channels: int = 2) -> Tensor:
    """Windows whose value is the time, times the channel's number."""
    time = torch.arange(length, dtype=torch.float32)[None, :, None]
    return (time * torch.arange(1, channels + 1)).repeat(rows, 1, 1)


def test_noise_goes_by_the_spread_of_each_window() -> None:
    """Protects series of any unit, and constant ones."""
    windows = torch.randn(200, 50, 2, generator=torch.Generator().manual_seed(0))
    windows *= torch.tensor([1.0, 1_000.0])
    change = jittered(windows, Jitter(scale=0.1), draws(200)) - windows
    np.testing.assert_allclose(change.std(dim=(0, 1)), [0.1, 100], rtol=0.05)
    still = torch.full((3, 5, 1), 7.0)
    torch.testing.assert_close(jittered(still, Jitter(), draws(3)), still)


def test_a_scaled_window_keeps_its_shape() -> None:
    """Protects the form of a series: one factor for a channel's whole window."""
    windows = rising(500, 6)[:, 1:]
    factor = scaled(windows, Scaling(scale=0.2), draws(500)) / windows
    torch.testing.assert_close(factor, factor[:, :1].expand(factor.shape))
    assert float(factor.mean()) == pytest.approx(1, abs=0.02)
    assert float(factor[:, 0].std()) == pytest.approx(0.2, abs=0.02)


@given(length=st.integers(1, 60), knots=st.integers(1, 8), strength=st.floats(0.01, 1))
def test_warped_time_never_runs_back(length: int, knots: int, strength: float) -> None:
    """Protects the order of events, both ends of a window, and its other channels."""
    windows = rising(5, length)
    found = time_warped(windows, TimeWarp(knots=knots, strength=strength), draws(5))
    assert found.shape == windows.shape and bool(found.isfinite().all())
    assert length == 1 or float(found.diff(dim=1).min()) >= -1e-4
    ends = [0, length - 1]
    torch.testing.assert_close(found[:, ends], windows[:, ends], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, :, 1], 2 * found[:, :, 0], atol=1e-3, rtol=1e-4)


@given(length=st.integers(1, 60), share=st.floats(0.05, 0.95))
def test_a_slice_is_a_stretched_part(length: int, share: float) -> None:
    """Protects slices: of the length asked for, anywhere in the window."""
    found = window_sliced(rising(40, length), WindowSlice(share=share), draws(40))[:, :, 0]
    span = found[:, -1] - found[:, 0]
    np.testing.assert_allclose(span, share * (length - 1), atol=1e-3)
    assert found.min() >= 0 and found.max() <= length - 1 + 1e-4
    assert length < 10 or share > 0.8 or float(found[:, 0].std()) > 0


@given(length=st.integers(1, 60), segments=st.integers(2, 8), seed=st.integers(0, 20))
def test_permuted_parts_are_whole(length: int, segments: int, seed: int) -> None:
    """Protects permutation: every value once, in at most so many runs."""
    found = permuted(rising(5, length), Permutation(segments=segments), draws(5, seed))[:, :, 0]
    torch.testing.assert_close(found.sort(dim=1).values, rising(5, length)[:, :, 0])
    runs = (found.diff(dim=1) != 1).sum(dim=1) + 1
    assert int(runs.max()) <= segments


def test_values_between_points_in_time_are_on_a_line() -> None:
    """Protects interpolation, at the very end as well."""
    places = np.array([[0.0, 0.5, 2.25, 3.0]])
    found = resampled(rising(1, 4), places)
    torch.testing.assert_close(found[0, :, 1], torch.tensor([0.0, 1.0, 4.5, 6.0]))


@settings(max_examples=20)
@given(data=st.data())
def test_a_window_becomes_the_same_whoever_is_beside_it(data: st.DataObject) -> None:
    """Protects equal weights over changing worlds."""
    windows = torch.randn(9, 20, 2, generator=torch.Generator().manual_seed(0))
    chosen = np.array(data.draw(st.permutations(range(9))))[:4]

    def changed(rows: np.ndarray) -> Tensor:
        streams, found = Draws.of_rows(1, 2, rows), windows[rows]
        found = scaled(jittered(found, Jitter(), streams), Scaling(), streams)
        found = window_sliced(time_warped(found, TimeWarp(), streams), WindowSlice(), streams)
        return permuted(found, Permutation(), streams)

    torch.testing.assert_close(changed(np.arange(9))[chosen], changed(chosen))

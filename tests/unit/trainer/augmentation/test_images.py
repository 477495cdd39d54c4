"""Changes of images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.geometry import (
    about_centre,
    affines,
    crops,
    flips,
    linear,
    turns,
    warped,
)
from services.trainer.domain.augmentation.images import erased, recolored
from services.trainer.domain.augmentation.policies import (
    Affine,
    Border,
    Color,
    Crop,
    Erasing,
    Flip,
    RandAugment,
)
from services.trainer.domain.augmentation.rand_augment import rand_augmented

SIZE = (12, 16)


def draws(rows: int, seed: int = 0) -> Draws:
    return Draws.of_rows(seed, 0, np.arange(rows))


def pictures(rows: int = 8, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((rows, channels, *SIZE), generator=generator)


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("axis", "dimension"), [("horizontal", 3), ("vertical", 2)])
def test_a_flip_mirrors(axis: str, dimension: int) -> None:
    """Protects the axes: left becomes right, top becomes bottom."""
    images = pictures()
    maps = flips(Flip.model_validate({"axis": axis}), draws(8), SIZE)
    assert_near(warped(images, maps, "edge"), images.flip(dimension))


@pytest.mark.parametrize(
    ("border", "mode"), [("edge", "replicate"), ("black", "constant"), ("reflection", "reflect")]
)
def test_a_crop_is_a_window_of_the_padded_image(border: Border, mode: str) -> None:
    """Protects crops: whole pixels, each shift up to the padding, and what lies beyond."""
    images = pictures(60)
    found = warped(images, crops(Crop(padding=2), draws(60), SIZE), border)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode=mode)
    windows = [(top, left) for top in range(5) for left in range(5)]
    seen = set()
    for image, source in zip(found, padded, strict=True):
        distances = [
            float((source[:, top : top + 12, left : left + 16] - image).abs().max())
            for top, left in windows
        ]
        assert min(distances) < 1e-4
        seen.add(windows[int(np.argmin(distances))])
    assert len(seen) > 15


def test_a_quarter_turn_is_that_of_torch() -> None:
    """Protects the direction and the centre of rotations."""
    images = pictures()[:, :, :, :12]
    maps = about_centre(turns(np.full(8, np.pi / 2)), (12, 12))
    assert_near(warped(images, maps, "edge"), torch.rot90(images, 1, (2, 3)))


def test_nothing_asked_for_is_nothing_changed() -> None:
    """Protects from a blur or a shift that nobody asked for."""
    images = pictures()
    still = Affine(rotation=0, translation=0, scaling=0, shear=0)
    assert_near(warped(images, affines(still, draws(8), SIZE), "black"), images)
    none = Color(brightness=0, contrast=0, saturation=0, hue=0)
    torch.testing.assert_close(recolored(images, none, draws(8)), images)


def test_affine_maps_stay_within_their_bounds() -> None:
    """Protects strengths: areas by the factor squared, the centre by the shift."""
    turned = affines(Affine(scaling=0.2, shear=0, translation=0.1), draws(2_000), SIZE)
    areas = np.linalg.det(turned)
    assert areas.min() >= 1 / 1.2**2 and areas.max() <= 1.2**2
    assert np.median(areas) == pytest.approx(1, abs=0.03)
    centre = np.array([7.5, 5.5, 1])
    moved = np.abs((turned @ centre)[:, :2] - centre[:2]).max(axis=0)
    assert moved == pytest.approx([1.6, 1.2], rel=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_within_the_range_of_pixels(channels: int) -> None:
    """Protects values of 0 to 1 and rows that each change in a way of their own."""
    images = pictures(1, channels).repeat(20, 1, 1, 1)
    colour = {} if channels == 3 else {"saturation": 0, "hue": 0}
    found = recolored(images, Color.model_validate({"brightness": 0.8, **colour}), draws(20))
    assert found.min() >= 0 and found.max() <= 1
    assert len({round(float(image.mean()), 5) for image in found}) > 15


@given(area=st.floats(0.01, 0.9), ratio=st.floats(0.2, 1), seed=st.integers(0, 100))
def test_erasing_hides_one_rectangle_of_the_area_asked_for(
    area: float, ratio: float, seed: int
) -> None:
    """Protects the share that is hidden, and all that is not."""
    images = pictures(6)
    fill = torch.tensor([2.0, 3.0, 4.0])
    chosen = Erasing(min_area=area, max_area=area, min_ratio=ratio)
    found = erased(images, chosen, draws(6, seed), fill)
    hidden = found == fill[:, None, None]
    assert bool((hidden == hidden[:, :1]).all())
    torch.testing.assert_close(found[~hidden], images[~hidden])
    for mask in hidden[:, 0]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert bool((mask == (rows[:, None] & columns)).all()), "one rectangle"
        high, wide = int(rows.sum()), int(columns.sum())
        is_cut = high == SIZE[0] or wide == SIZE[1]
        assert is_cut or abs(high * wide - area * 192) <= (high + wide) / 2 + 1


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("magnitude", [0.0, 9.0, 30.0])
def test_rand_augment_keeps_pixels_in_range(channels: int, magnitude: float) -> None:
    """Protects all changes with any number of channels, at all strengths."""
    images = pictures(200, channels)
    chosen = RandAugment(operations=3, magnitude=magnitude)
    found = rand_augmented(images, chosen, draws(200), "edge")
    assert found.shape == images.shape and bool(found.isfinite().all())
    assert found.min() >= -1e-6 and found.max() <= 1 + 1e-6
    changed = (found - images).abs().amax((1, 2, 3)) > 0.01
    assert int(changed.sum()) > (0 if magnitude == 0 else 150)


@settings(max_examples=20)
@given(data=st.data())
def test_a_row_becomes_the_same_whoever_is_beside_it(data: st.DataObject) -> None:
    """Protects equal weights over changing worlds: all changes go row by row."""
    images, rows = pictures(9), np.arange(9)
    chosen = np.array(data.draw(st.permutations(range(9))))[:4]

    def changed(of: np.ndarray) -> Tensor:
        found = images[of]
        streams = Draws.of_rows(5, 2, of)
        maps = affines(Affine(), streams, SIZE) @ linear(len(of))
        found = recolored(warped(found, maps, "reflection"), Color(hue=0.1), streams)
        found = rand_augmented(found, RandAugment(magnitude=20), streams, "edge")
        return erased(found, Erasing(), streams, torch.zeros(3))

    torch.testing.assert_close(changed(rows)[chosen], changed(chosen), atol=1e-6, rtol=1e-6)

"""Images of rows become small pictures."""

import numpy as np
import pytest

from services.analyzer.domain.page.thumbnails import fitted, pixels_of


@pytest.mark.parametrize(
    ("channels", "colors"), [(1, [7]), (2, [7]), (3, [7, 8, 9]), (4, [7, 8, 9])]
)
def test_channels_become_colors(channels: int, colors: list[int]) -> None:
    image = np.full((channels, 4, 5), np.arange(7, 7 + channels)[:, None, None], np.uint8)
    pixels = pixels_of(image)
    assert pixels.shape == ((4, 5, 3) if len(colors) == 3 else (4, 5))
    assert pixels[0, 0].tolist() == (colors if len(colors) == 3 else colors[0])


def test_large_pictures_are_means_and_small_ones_stay() -> None:
    pixels = np.array([[0, 100, 10, 30], [100, 200, 20, 40]], np.uint8)
    assert fitted(pixels, 2).tolist() == [[100, 25]]
    assert fitted(pixels, 4) is pixels
    assert fitted(np.zeros((1000, 1, 3), np.uint8), 64).shape == (64, 1, 3)

"""Changes of what images show: light, colours, hidden parts. Images are numbers of 0 to 1."""

import numpy as np
import numpy.typing as npt
import torch
from kornia import enhance
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws, Floats
from services.trainer.domain.augmentation.policies import Color, Erasing

Rectangles = npt.NDArray[np.int64]
"""First row, last row + 1, first column, last column + 1 of each image, shape (rows, 4)."""


def recolored(images: Tensor, settings: Color, draws: Draws) -> Tensor:
    """Returns images with other brightness, contrast, saturation and hue.

    Args:
        images: Shape (rows, channels, height, width), numbers of 0 to 1.
        settings: Resolved.
        draws: Of the rows.
    """
    for amount, change in (
        (settings.brightness, enhance.adjust_brightness_accumulative),
        (settings.contrast, enhance.adjust_contrast_with_mean_subtraction),
        (settings.saturation, enhance.adjust_saturation_with_gray_subtraction),
    ):
        if amount:
            images = change(images, tensor(draws.uniform(1 - amount, 1 + amount)))
    if settings.hue:
        turn = 2 * np.pi * settings.hue
        images = enhance.adjust_hue(images, tensor(draws.uniform(-turn, turn)))
    return images


def erased(images: Tensor, settings: Erasing, draws: Draws, fill: Tensor) -> Tensor:
    """Returns images of each of which a rectangle is hidden.

    Source: Zhong, Zheng, Kang, Li and Yang, Random erasing data augmentation (AAAI 2020), filled
    with the mean of the training images.

    Args:
        images: Shape (rows, channels, height, width).
        settings: How large rectangles are.
        draws: Of the rows.
        fill: What they are filled with, shape (channels,).
    """
    height, width = images.shape[2:]
    area = draws.uniform(settings.min_area, settings.max_area) * height * width
    limit = -np.log(settings.min_ratio)
    ratio = np.exp(draws.uniform(-limit, limit))
    sides = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1)
    sides = np.clip(np.rint(sides), 1, [height, width])
    corner = draws.uniforms(2) * (np.array([height, width]) - sides + 1)
    first = corner.astype(np.int64)
    last = first + sides.astype(np.int64)
    rectangles = np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)
    return torch.where(inside(rectangles, (height, width)), fill[:, None, None], images)


def inside(rectangles: Rectangles, size: tuple[int, int]) -> Tensor:
    """Says of each pixel whether it lies in its row's rectangle, shape (rows, 1, height, width)."""
    edges = torch.from_numpy(rectangles)[:, :, None]
    y, x = torch.arange(size[0]), torch.arange(size[1])
    in_rows = (y >= edges[:, 0]) & (y < edges[:, 1])
    in_columns = (x >= edges[:, 2]) & (x < edges[:, 3])
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def tensor(values: Floats) -> Tensor:
    """Returns numbers of rows as the images' type has them."""
    return torch.from_numpy(values.astype(np.float32))

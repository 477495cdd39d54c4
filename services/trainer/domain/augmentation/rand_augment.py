"""RandAugment: a few changes of each image, drawn from a fixed set, all of one strength.

Source: Cubuk, Zoph, Shlens and Le, RandAugment: practical automated data augmentation with a
reduced search space (NeurIPS 2020). Changes of geometry are one sampling here, before those of
looks: most of them can be exchanged, and sampling twice would blur.
"""

from collections.abc import Callable

import numpy as np
import torch
from kornia import enhance
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws, Floats, Integers
from services.trainer.domain.augmentation.geometry import (
    Maps,
    Size,
    about_centre,
    linear,
    shifts,
    turns,
    warped,
)
from services.trainer.domain.augmentation.images import tensor
from services.trainer.domain.augmentation.policies import Border, RandAugment

LARGEST_MAGNITUDE = 30.0
# What the largest magnitude means.
_ANGLE = np.deg2rad(30.0)
_SLANT = 0.3
_SHIFT = 0.3  # of the side
_FACTOR = 0.9  # added to 1, or taken from it
_LOST_BITS = 4

Look = Callable[[Tensor, Floats], Tensor]
"""Takes images and the strength of each, -1 to 1."""


def _stretched(images: Tensor, strength: Floats) -> Tensor:
    """Returns images whose darkest value of each channel is 0 and whose lightest one is 1."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (images - low) / span.clamp(min=1e-6), images)


def _equalized(images: Tensor, strength: Floats) -> Tensor:
    return enhance.equalize(images.clamp(0, 1))


def _posterized(images: Tensor, strength: Floats) -> Tensor:
    bits = 8 - np.rint(_LOST_BITS * np.abs(strength)).astype(np.int64)
    return enhance.posterize(images.clamp(0, 1), torch.from_numpy(bits))


def _solarized(images: Tensor, strength: Floats) -> Tensor:
    return enhance.solarize(images, tensor(1 - np.abs(strength)))


def _sharpened(images: Tensor, strength: Floats) -> Tensor:
    if min(images.shape[2:]) < 3:
        return images
    return enhance.sharpness(images, tensor(1 + _FACTOR * strength))


def _lightened(images: Tensor, strength: Floats) -> Tensor:
    return enhance.adjust_brightness_accumulative(images, tensor(1 + _FACTOR * strength))


def _contrasted(images: Tensor, strength: Floats) -> Tensor:
    return enhance.adjust_contrast_with_mean_subtraction(images, tensor(1 + _FACTOR * strength))


def _saturated(images: Tensor, strength: Floats) -> Tensor:
    if images.shape[1] != 3:
        return images
    return enhance.adjust_saturation_with_gray_subtraction(images, tensor(1 + _FACTOR * strength))


_LOOKS: tuple[Look, ...] = (
    _stretched,
    _equalized,
    _posterized,
    _solarized,
    _sharpened,
    _lightened,
    _contrasted,
    _saturated,
)
_MOVES: tuple[Callable[[Floats, Size], Maps], ...] = (
    lambda strength, size: about_centre(turns(_ANGLE * strength), size),
    lambda strength, size: about_centre(linear(len(strength), x_by_y=_SLANT * strength), size),
    lambda strength, size: about_centre(linear(len(strength), y_by_x=_SLANT * strength), size),
    lambda strength, size: shifts(_SHIFT * size[1] * strength, 0 * strength),
    lambda strength, size: shifts(0 * strength, _SHIFT * size[0] * strength),
)
_COUNT = 1 + len(_MOVES) + len(_LOOKS)  # the first one changes nothing


def rand_augmented(images: Tensor, settings: RandAugment, draws: Draws, border: Border) -> Tensor:
    """Returns images, each changed in its own way.

    Args:
        images: Shape (rows, channels, height, width), numbers of 0 to 1.
        settings: How many changes of each image, and how strong.
        draws: Of the rows.
        border: What lies beyond the images.
    """
    kinds = draws.integers(_COUNT, settings.operations)
    signs = np.where(draws.uniforms(settings.operations) < 0.5, -1.0, 1.0)
    strength = signs * settings.magnitude / LARGEST_MAGNITUDE
    size = (images.shape[2], images.shape[3])
    images = warped(images, _moves(kinds, strength, size), border)
    for layer in range(settings.operations):
        for number, look in enumerate(_LOOKS, start=1 + len(_MOVES)):
            rows = np.flatnonzero(kinds[:, layer] == number)
            if len(rows) > 0:
                images[rows] = look(images[rows], strength[rows, layer])
    return images


def _moves(kinds: Integers, strength: Floats, size: Size) -> Maps:
    """Returns the product of each row's changes of geometry."""
    maps = linear(len(kinds))
    for layer in range(kinds.shape[1]):
        for number, move in enumerate(_MOVES, start=1):
            rows = np.flatnonzero(kinds[:, layer] == number)
            maps[rows] = move(strength[rows, layer], size) @ maps[rows]
    return maps

"""Images as seen through affine maps: flips, shifts, turns. One sampling, however many of them.

Maps are matrices of shape (rows, 3, 3) from pixels (x, y, 1) of the given image to pixels of the
new one; those of several changes are multiplied.
"""

import numpy as np
import numpy.typing as npt
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws, Floats
from services.trainer.domain.augmentation.policies import Affine, Border, Crop, Flip

Maps = npt.NDArray[np.float64]
Size = tuple[int, int]
"""Height and width."""
_PADDING = {"edge": "border", "black": "zeros", "reflection": "reflection"}


def flips(settings: Flip, draws: Draws, size: Size) -> Maps:
    """Returns mirrorings."""
    factor = np.full(draws.rows, -1.0)
    if settings.axis == "horizontal":
        return about_centre(linear(draws.rows, x_by_x=factor), size)
    return about_centre(linear(draws.rows, y_by_y=factor), size)


def crops(settings: Crop, draws: Draws, size: Size) -> Maps:
    """Returns shifts by whole pixels, up to the padding in each direction."""
    assert settings.padding is not None
    offsets = draws.integers(2 * settings.padding + 1, 2) - settings.padding
    return shifts(offsets[:, 0].astype(np.float64), offsets[:, 1].astype(np.float64))


def affines(settings: Affine, draws: Draws, size: Size) -> Maps:
    """Returns turns, shears and scalings about the centre, then shifts."""
    angle = np.deg2rad(draws.uniform(-settings.rotation, settings.rotation))
    slants = np.tan(np.deg2rad(draws.uniforms(2, -settings.shear, settings.shear)))
    # As often smaller as larger: between 1 / (1 + scaling) and 1 + scaling.
    factor = (1 + settings.scaling) ** draws.uniform(-1, 1)
    away = draws.uniforms(2, -settings.translation, settings.translation)
    shear = linear(draws.rows, x_by_y=slants[:, 0], y_by_x=slants[:, 1])
    maps = about_centre(turns(angle) @ shear @ linear(draws.rows, factor, factor), size)
    return shifts(away[:, 0] * size[1], away[:, 1] * size[0]) @ maps


def turns(angle: Floats) -> Maps:
    """Returns rotations about the origin, in radians."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return linear(len(angle), cosine, cosine, x_by_y=sine, y_by_x=-sine)


def linear(
    rows: int,
    x_by_x: Floats | float = 1.0,
    y_by_y: Floats | float = 1.0,
    x_by_y: Floats | float = 0.0,
    y_by_x: Floats | float = 0.0,
) -> Maps:
    """Returns maps that leave the origin where it is; the identity unless told otherwise."""
    maps = np.zeros((rows, 3, 3))
    maps[:, 0, 0], maps[:, 0, 1] = x_by_x, x_by_y
    maps[:, 1, 0], maps[:, 1, 1] = y_by_x, y_by_y
    maps[:, 2, 2] = 1
    return maps


def shifts(x: Floats, y: Floats) -> Maps:
    """Returns shifts, in pixels."""
    maps = linear(len(x))
    maps[:, 0, 2], maps[:, 1, 2] = x, y
    return maps


def about_centre(maps: Maps, size: Size) -> Maps:
    """Returns maps that leave the images' centre where it is."""
    centre = (np.array([size[1], size[0]]) - 1) / 2
    moved = maps.copy()
    moved[:, :2, 2] += centre - maps[:, :2, :2] @ centre
    return moved


def warped(images: Tensor, maps: Maps, border: Border) -> Tensor:
    """Returns images as the maps move them, by bilinear sampling.

    Args:
        images: Shape (rows, channels, height, width).
        maps: One for each row.
        border: What lies beyond the images.
    """
    matrices = torch.from_numpy(maps[:, :2].astype(np.float32))
    height, width = images.shape[2:]
    return warp_affine(
        images, matrices, (height, width), padding_mode=_PADDING[border], align_corners=True
    )

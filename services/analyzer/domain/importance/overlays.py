"""Images with a heat map of what the model goes by."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.reports.report import Gallery, Picture
from common.reports.text import shortened
from services.analyzer.domain.importance.images import ImageMethod, SeenImage, SeenImages
from services.analyzer.domain.page.thumbnails import Pixels, fitted, pixels_of

_SIDE = 96
_SMOOTHING = 48
_CLIPPED = 99
_NAME = 24
_FOR, _AGAINST = np.array([230.0, 85.0, 13.0]), np.array([33.0, 113.0, 181.0])


def overlays(seen: SeenImages) -> Gallery:
    """Returns each image twice: as it is, and greyed with what counts in colour."""
    what = (
        "Where covering the image lowers the output"
        if seen.method is ImageMethod.OCCLUSION
        else "Pixels whose gradients speak for what the model says"
    )
    caption = f"{what} is orange, what speaks against it is blue. Above each is the image as it is."
    return Gallery([_picture(each) for each in seen.images], caption)


def _picture(image: SeenImage) -> Picture:
    plain = _colored(fitted(pixels_of(image.pixels), _SIDE))
    grey = np.repeat(plain.mean(axis=2, keepdims=True), 3, axis=2)
    weights = _sized_weights(image.weights, plain.shape[:2])
    strength = np.abs(weights)[:, :, None]
    color = np.where(weights[:, :, None] >= 0, _FOR, _AGAINST)
    mixed = (1 - strength) * (0.6 * grey + 60) + strength * color
    both = np.concatenate((plain, mixed), axis=0)
    found, truth = shortened(image.predicted, _NAME), shortened(image.truth, _NAME)
    told = f"row {image.row}: {found}" + (f", truly {truth}" if image.is_right is False else "")
    return Picture.of(
        np.clip(both, 0, 255).astype(np.uint8),
        told,
        f"Image of row {image.row}, for which the model says {found}, above its heat map.",
    )


def _colored(pixels: Pixels) -> npt.NDArray[np.float64]:
    """Returns pixels as (height, width, 3)."""
    colored = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    return np.asarray(colored, np.float64)


def _sized_weights(
    weights: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Returns weights from -1 to 1, smoothed a little."""
    smooth = ndimage.gaussian_filter(weights, max(weights.shape) / _SMOOTHING)
    zoomed = ndimage.zoom(
        smooth, [new / old for new, old in zip(shape, smooth.shape, strict=True)], order=1
    )
    largest = float(np.percentile(np.abs(zoomed), _CLIPPED)) or float(np.abs(zoomed).max()) or 1.0
    return np.asarray(np.clip(zoomed / largest, -1, 1))

"""Disturbances of images, uint8 [rows, channels, height, width]."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.data.rows import RawRows
from services.analyzer.domain.robustness.disturbance import Apply, Disturbance
from services.analyzer.domain.robustness.findings import DisturbanceKind

Pixels = npt.NDArray[np.float32]

Change = Callable[[Pixels, float, np.random.Generator], Pixels]
"""Images, 0 to 255, a severity and what draws at random in; other images out."""

IMAGE_KINDS = frozenset(
    {
        DisturbanceKind.BLUR,
        DisturbanceKind.PIXEL_NOISE,
        DisturbanceKind.OCCLUSION,
        DisturbanceKind.BRIGHTER,
        DisturbanceKind.DARKER,
        DisturbanceKind.LESS_CONTRAST,
        DisturbanceKind.MOVED,
        DisturbanceKind.ROTATED,
    }
)
"""Kinds of `image_disturbances`."""

_SIDE = "share of the shorter side"
_RANGE = "share of the range of values"


def image_disturbances(names: Sequence[str]) -> list[Disturbance]:
    """Returns disturbances of images, those that are seen most often first."""
    kind = DisturbanceKind
    table: list[tuple[DisturbanceKind, str, tuple[float, ...], Change]] = [
        (kind.BLUR, _SIDE, (0.01, 0.02, 0.03, 0.05, 0.08), _blurred),
        (kind.PIXEL_NOISE, _RANGE, (0.02, 0.05, 0.1, 0.2, 0.4), _noisy),
        (kind.OCCLUSION, _SIDE, (0.1, 0.2, 0.3, 0.4, 0.5), _occluded),
        (kind.BRIGHTER, _RANGE, (0.1, 0.2, 0.3, 0.4, 0.5), _brighter),
        (kind.DARKER, _RANGE, (0.1, 0.2, 0.3, 0.4, 0.5), _darker),
        (kind.LESS_CONTRAST, "share of contrast lost", (0.2, 0.4, 0.6, 0.75, 0.9), _flatter),
        (kind.MOVED, _SIDE, (0.03, 0.06, 0.1, 0.15, 0.2), _moved),
        (kind.ROTATED, "degrees", (5.0, 10.0, 15.0, 20.0, 30.0), _turned),
    ]
    if not names:
        return []
    return [
        Disturbance(kind, unit, severities, _changed(change, names))
        for kind, unit, severities, change in table
    ]


def _changed(change: Change, names: Sequence[str]) -> Apply:
    def apply(raw: RawRows, severity: float, generator: np.random.Generator) -> RawRows:
        others = {}
        for name in names:
            found = change(raw.columns[name].astype(np.float32), severity, generator)
            others[name] = np.clip(np.rint(found), 0, 255).astype(np.uint8)
        return RawRows({**raw.columns, **others}, raw.labels)

    return apply


def _side(images: Pixels) -> int:
    return int(min(images.shape[2:]))


def _blurred(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    """Blurs by a Gaussian whose standard deviation is the share of the side."""
    sigma = severity * _side(images)
    return np.asarray(ndimage.gaussian_filter(images, (0, 0, sigma, sigma), mode="nearest"))


def _noisy(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    noise = generator.standard_normal(images.shape, np.float32)
    return images + np.float32(255 * severity) * noise


def _brighter(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    return images + np.float32(255 * severity)


def _darker(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    return images - np.float32(255 * severity)


def _flatter(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    """Brings values nearer to the mean of their image."""
    means = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(means + np.float32(1 - severity) * (images - means), np.float32)


def _occluded(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    """Covers a square in the mean colour of each image."""
    rows, _, height, width = images.shape
    side = max(1, round(severity * _side(images)))
    down, across = generator.random((2, rows))
    hit = _spans(down, height, side)[:, :, None] & _spans(across, width, side)[:, None, :]
    return np.where(hit[:, None], images.mean(axis=(2, 3), keepdims=True), images)


def _spans(chances: npt.NDArray[np.float64], length: int, side: int) -> npt.NDArray[np.bool_]:
    """Returns which places are within a span that begins somewhere, (rows, length)."""
    starts = np.floor(chances * (length - side + 1))[:, None]
    places = np.arange(length)
    return (places >= starts) & (places < starts + side)


def _moved(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    """Moves each image up, down, left or right; its edge is drawn out."""
    distance = severity * _side(images)
    directions = generator.integers(0, 4, len(images))
    moved = images.copy()
    for direction in np.unique(directions):
        chosen = directions == direction
        way = [0.0, 0.0, 0.0, 0.0]
        way[2 + direction // 2] = distance if direction % 2 else -distance
        moved[chosen] = ndimage.shift(images[chosen], way, order=1, mode="nearest")
    return moved


def _turned(images: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    """Turns each image to the left or to the right."""
    signs = generator.choice((-1, 1), len(images))
    turned = images.copy()
    for sign in np.unique(signs):
        chosen = signs == sign
        turned[chosen] = ndimage.rotate(
            images[chosen], sign * severity, (3, 2), reshape=False, order=1, mode="nearest"
        )
    return turned

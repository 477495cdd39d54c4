"""What numbers tell of pictures without learning: shapes, colours. Imports NumPy alone."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_LARGEST_SHARE = 0.2
_FAINT = 1e-3
_LEVELS = 4
_HUES = 12
_MOSAIC = 4


def as_floats(pictures: npt.NDArray[np.uint8]) -> Floats:
    """Returns pictures (rows, channels, height, width) as (rows, height, width, channels), to 1."""
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1), np.float32) / np.float32(255)


def resized(pictures: Floats, height: int, width: int) -> Floats:
    """Returns pictures of another size: each pixel is the mean of the area that it covers.

    Args:
        pictures: (rows, height, width, channels).
        height: The new one.
        width: The new one.
    """
    rows, columns = _areas(pictures.shape[1], height), _areas(pictures.shape[2], width)
    across = np.einsum("nhwc,jw->nhjc", pictures, columns, optimize=True)
    return np.asarray(np.einsum("nhjc,ih->nijc", across, rows, optimize=True), np.float32)


def oriented_gradients(pictures: Floats, cell: int, bins: int = 18) -> Floats:
    """Returns histograms of oriented gradients (Dalal and Triggs, 2005), (rows, values).

    Args:
        pictures: (rows, height, width, channels), sides of two cells at least.
        cell: Side of the cells in pixels.
        bins: Directions that are told apart, light to dark from dark to light.
    """
    strength, direction = _gradients(pictures)
    place = direction * np.float32(bins)
    lower = np.minimum(place.astype(np.int64), bins - 1)
    upper_share = place - lower
    down = _tents(pictures.shape[1], pictures.shape[1] // cell)
    across = _tents(pictures.shape[2], pictures.shape[2] // cell)
    cells = np.empty((len(pictures), len(down), len(across), bins), np.float32)
    for each in range(bins):
        share = np.where(lower == each, 1 - upper_share, 0)
        share += np.where((lower + 1) % bins == each, upper_share, 0)
        cells[..., each] = down @ (strength * share) @ across.T
    return _normalised(cells)


def colours(pictures: Floats) -> Floats:
    """Returns which colours pictures have, and where about, (rows, values)."""
    mosaic = resized(pictures, _MOSAIC, _MOSAIC).reshape(len(pictures), -1)
    levels = np.minimum((pictures * _LEVELS).astype(np.int64), _LEVELS - 1)
    codes = np.zeros(levels.shape[:3], np.int64)
    for channel in range(levels.shape[3]):
        codes = codes * _LEVELS + levels[..., channel]
    parts = [mosaic, _shares(codes, np.ones(codes.shape), _LEVELS ** levels.shape[3])]
    if pictures.shape[3] == 3:
        hues, vividness = _hues(pictures)
        parts.append(_shares(hues, vividness, _HUES))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _areas(size: int, count: int) -> Floats:
    """Returns the share that each old pixel has in each new one, (count, size)."""
    edges = np.linspace(0, size, count + 1)[:, None]
    old = np.arange(size)
    covered = np.minimum(edges[1:], old + 1) - np.maximum(edges[:-1], old)
    shares = np.maximum(covered, 0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _tents(size: int, count: int) -> Floats:
    """Returns by how much each pixel counts for each cell: less, the further from its middle."""
    middles = (np.arange(count) + 0.5) * size / count - 0.5
    away = np.abs(np.arange(size) - middles[:, None]) * count / size
    return np.maximum(1 - away, 0).astype(np.float32)


def _gradients(pictures: Floats) -> tuple[Floats, Floats]:
    """Returns strength and direction, 0 to 1, of the channel with the strongest, per pixel."""
    down, across = np.zeros_like(pictures), np.zeros_like(pictures)
    down[:, 1:-1] = pictures[:, 2:] - pictures[:, :-2]
    across[:, :, 1:-1] = pictures[:, :, 2:] - pictures[:, :, :-2]
    strength = np.hypot(down, across)
    strongest = strength.argmax(axis=3)[..., None]
    down, across, strength = (
        np.take_along_axis(each, strongest, axis=3)[..., 0] for each in (down, across, strength)
    )
    direction = np.arctan2(down, across) / np.float32(2 * np.pi)
    return strength, np.asarray(direction % np.float32(1), np.float32)


def _normalised(cells: Floats) -> Floats:
    """Returns the cells relative to each of the blocks of four that they are part of."""
    energy = (cells**2).sum(axis=3)
    blocks = energy[:, :-1, :-1] + energy[:, 1:, :-1] + energy[:, :-1, 1:] + energy[:, 1:, 1:]
    lengths = np.sqrt(blocks + np.float32(_FAINT))[..., None]
    height, width = blocks.shape[1:]
    found = [
        np.minimum(cells[:, y : y + height, x : x + width] / lengths, _LARGEST_SHARE)
        for y in (0, 1)
        for x in (0, 1)
    ]
    return np.concatenate(
        [each.reshape(len(cells), -1) for each in found], axis=1, dtype=np.float32
    )


def _hues(pictures: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns the hue of each pixel, of twelve, and how much colour it has."""
    red, green, blue = (pictures[..., channel] for channel in range(3))
    most = pictures.max(axis=3)
    vividness: Floats = most - pictures.min(axis=3)
    scale = vividness + np.float32(1e-6)
    hue = np.where(
        most == red,
        (green - blue) / scale % 6,
        np.where(most == green, (blue - red) / scale + 2, (red - green) / scale + 4),
    )
    places = np.asarray(hue * (_HUES / 6)).astype(np.int64) % _HUES
    return places, vividness


def _shares(codes: npt.NDArray[np.int64], weights: npt.NDArray[np.floating], count: int) -> Floats:
    """Returns square roots of the shares of codes, which tell more of rare ones, (rows, count)."""
    rows = len(codes)
    places = (codes.reshape(rows, -1) + np.arange(rows)[:, None] * count).ravel()
    sums = np.bincount(places, weights.reshape(-1), rows * count).reshape(rows, count)
    return np.asarray(np.sqrt(sums / codes[0].size), np.float32)

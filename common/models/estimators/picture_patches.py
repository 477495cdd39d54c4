"""What small patches of pictures look like: features that are learned without a target."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin

Floats = npt.NDArray[np.float32]

_SAMPLED = 20_000
_ROUNDS = 8
_PATCH_NOISE = 10 / 255**2  # in the variance of a patch's pixels, so that flat ones stay flat
_DIRECTION_NOISE = 0.1
_AT_ONCE = 200_000  # patches whose distances are held


class PatchFeatures(TransformerMixin, BaseEstimator):
    """How near the patches of each part of a picture are to typical patches.

    Patches are normalised and whitened; typical ones are found by k-means; what counts is by how
    much a patch is nearer to one than to the others in the mean, summed over parts of the picture.

    Source: Coates, Lee and Ng, An analysis of single-layer networks in unsupervised feature
    learning (2011).

    Attributes:
        count: Typical patches.
        size: Side of a patch in pixels.
        stride: Pixels from patch to patch.
        parts: A picture is looked at in so many parts a side.
        seed: Of all chance.
        mean_: Of the normalised patches.
        whitening_: What makes their directions alike.
        typical_: The typical patches, whitened, (count, numbers).
    """

    mean_: Floats
    whitening_: Floats
    typical_: Floats

    def __init__(
        self, count: int = 400, size: int = 6, stride: int = 2, parts: int = 3, seed: int = 0
    ) -> None:
        """Takes what is to be done; see the class."""
        self.count = count
        self.size = size
        self.stride = stride
        self.parts = parts
        self.seed = seed

    def fit(self, pictures: Floats, truth: Any = None) -> "PatchFeatures":
        """Finds typical patches.

        Args:
            pictures: (rows, height, width, channels), 0 to 1.
            truth: Is not looked at.
        """
        generator = np.random.default_rng(self.seed)
        patches = self._sampled(pictures, generator)
        self.mean_ = patches.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
        scales = 1 / np.sqrt(np.maximum(variances, 0) + _DIRECTION_NOISE)
        self.whitening_ = np.asarray((directions * scales) @ directions.T, np.float32)
        whitened = np.asarray((patches - self.mean_) @ self.whitening_, np.float32)
        self.typical_ = _typical(whitened, self.count, generator)
        return self

    def transform(self, pictures: Floats) -> Floats:
        """Returns float32 (rows, parts ** 2 * count)."""
        each = np.prod([len(range(0, n, self.stride)) for n in self._places(pictures)])
        step = max(int(_AT_ONCE // each), 1)
        found = [
            self._summed(pictures[start : start + step]) for start in range(0, len(pictures), step)
        ]
        width = self.parts**2 * len(self.typical_)
        return np.concatenate(found) if found else np.zeros((0, width), np.float32)

    def _places(self, pictures: Floats) -> tuple[int, int]:
        height, width = pictures.shape[1:3]
        return height - self.size + 1, width - self.size + 1

    def _sampled(self, pictures: Floats, generator: np.random.Generator) -> Floats:
        places = self._places(pictures)
        rows = generator.integers(0, len(pictures), _SAMPLED)
        down, across = (generator.integers(0, most, _SAMPLED) for most in places)
        windows = sliding_window_view(pictures, (self.size, self.size), axis=(1, 2))
        return _normalised(windows[rows, down, across].reshape(_SAMPLED, -1))

    def _summed(self, pictures: Floats) -> Floats:
        windows = sliding_window_view(pictures, (self.size, self.size), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]
        rows, height, width = windows.shape[:3]
        patches = _normalised(windows.reshape(rows * height * width, -1))
        nearness = self._nearness(patches).reshape(rows, height, width, -1)
        down, across = (_edges(length, self.parts) for length in (height, width))
        found = [
            nearness[:, top:bottom, left:right].mean(axis=(1, 2))
            for top, bottom in pairwise(down)
            for left, right in pairwise(across)
        ]
        return np.concatenate(found, axis=1)

    def _nearness(self, patches: Floats) -> Floats:
        whitened = (patches - self.mean_) @ self.whitening_
        away = whitened @ self.typical_.T
        away *= -2
        away += (whitened**2).sum(axis=1)[:, None]
        away += (self.typical_**2).sum(axis=1)
        np.sqrt(np.maximum(away, 0, out=away), out=away)
        np.subtract(away.mean(axis=1, keepdims=True), away, out=away)
        return np.maximum(away, 0, out=away)


def _edges(length: int, parts: int) -> list[int]:
    return [round(each) for each in np.linspace(0, length, parts + 1).tolist()]


def _normalised(patches: npt.NDArray[np.floating]) -> Floats:
    """Returns patches (patches, numbers) of mean 0 and deviation about 1."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    centred /= np.sqrt((centred**2).mean(axis=1, keepdims=True) + _PATCH_NOISE)
    return np.asarray(centred, np.float32)


def _typical(patches: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Returns centres of k-means; those that lose all their patches begin anew."""
    centres = patches[generator.choice(len(patches), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = (patches @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        found, firsts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(patches[order], firsts, axis=0)
        counts = np.diff([*firsts.tolist(), len(patches)])[:, None]
        centres = patches[generator.choice(len(patches), count, replace=False)]
        centres[found] = sums / counts
    return centres

"""Columns of pictures as numbers: what their shapes, patches and colours are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA

from common.models.estimators.picture_cells import Pixels, pictures_of
from common.models.estimators.picture_patches import PatchFeatures
from common.models.estimators.picture_shapes import (
    Floats,
    as_floats,
    colours,
    oriented_gradients,
    resized,
)

SHAPES, PATCHES, COLOURS = "shapes", "patches", "colours"
GROUPS = (SHAPES, PATCHES, COLOURS)
"""What is told of a picture; columns of each are in order of their weight."""

_FINE_SIDE, _COARSE_SIDE, _PATCH_SIDE = 48, 16, 32
_LEAST_SIDE = 16
_CELL = 4
_MOST_COLOURS = 32
_AT_ONCE = 256
_LEARNED_FROM = 4_000


@dataclass
class PictureCoder:
    """Turns pictures of one column into numbers.

    Attributes:
        patches: What typical patches are.
        pressed: By group: what presses its numbers into few, of which the first weigh most.
    """

    patches: PatchFeatures
    pressed: dict[str, "Pressing"]

    @classmethod
    def learned(
        cls, pictures: Pixels, patches: int, columns: int, seed: int
    ) -> tuple["PictureCoder", npt.NDArray[np.float64]]:
        """Returns what has looked at some pictures, with the codes of all.

        Args:
            pictures: (rows, channels, height, width).
            patches: How many typical patches are told apart.
            columns: Of each group, at most.
            seed: Of all chance.
        """
        chosen = np.random.default_rng(seed).permutation(len(pictures))[:_LEARNED_FROM]
        known = pictures[np.sort(chosen)]
        coder = cls(PatchFeatures(patches, seed=seed), {})
        coder.patches.fit(_patched(as_floats(known)))
        raw = coder._raw(known)
        for group, values in raw.items():
            most = min(columns, _MOST_COLOURS) if group == COLOURS else columns
            coder.pressed[group] = Pressing.learned(values, most, seed)
        if len(known) == len(pictures):
            return coder, coder._coded(raw)
        return coder, coder.codes(pictures)

    def codes(self, pictures: Pixels) -> npt.NDArray[np.float64]:
        """Returns float64 (rows, columns), the groups beside each other."""
        return self._coded(self._raw(pictures))

    def _coded(self, raw: Mapping[str, Floats]) -> npt.NDArray[np.float64]:
        return np.column_stack([self.pressed[group].applied(raw[group]) for group in GROUPS])

    def names(self, column: str) -> list[str]:
        """Returns the names of the columns of `codes`."""
        return [
            f"{column}.{group}.{place}"
            for group in GROUPS
            for place in range(self.pressed[group].width)
        ]

    def _raw(self, pictures: Pixels) -> dict[str, Floats]:
        starts = range(0, max(len(pictures), 1), _AT_ONCE)
        parts = [self._raw_part(as_floats(pictures[at : at + _AT_ONCE])) for at in starts]
        return {group: np.concatenate([part[group] for part in parts]) for group in GROUPS}

    def _raw_part(self, pictures: Floats) -> dict[str, Floats]:
        fine, coarse = _within(pictures, _FINE_SIDE), _within(pictures, _COARSE_SIDE)
        shapes = [oriented_gradients(each, _CELL) for each in (fine, coarse)]
        return {
            SHAPES: np.concatenate(shapes, axis=1),
            PATCHES: self.patches.transform(_patched(pictures)),
            COLOURS: colours(fine),
        }


@dataclass
class Pressing:
    """Scales numbers and presses them into their principal components.

    Attributes:
        means: Of the numbers.
        directions: (numbers, columns), with the scales in them: the first column has variance 1.
    """

    means: Floats
    directions: Floats

    @classmethod
    def learned(cls, values: Floats, columns: int, seed: int) -> "Pressing":
        """Returns the pressing of some rows of numbers."""
        means, scales = values.mean(axis=0), values.std(axis=0)
        scaled = (values - means) / np.maximum(scales, 1e-4)
        count = max(min(columns, *(side - 1 for side in scaled.shape)), 1)
        found = PCA(count, svd_solver="randomized", random_state=seed).fit(scaled)
        largest = np.sqrt(max(float(found.explained_variance_[0]), 1e-12))
        directions = found.components_.T / np.maximum(scales, 1e-4)[:, None] / largest
        return cls(np.asarray(means, np.float32), np.asarray(directions, np.float32))

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.directions.shape[1])

    def applied(self, values: Floats) -> npt.NDArray[np.float64]:
        """Returns float64 (rows, columns)."""
        return ((values - self.means) @ self.directions).astype(np.float64)


class PictureColumns(TransformerMixin, BaseEstimator):
    """Puts what is told of pictures beside the columns of a data frame; these stay.

    Attributes:
        shapes: By column of pictures: channels, height, width.
        patches: How many typical patches are told apart.
        columns: Of each group, at most.
        seed: Of all chance.
        coders_: By column of pictures.
    """

    coders_: dict[str, PictureCoder]

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]] | None = None,
        patches: int = 400,
        columns: int = 128,
        seed: int = 0,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.shapes = shapes
        self.patches = patches
        self.columns = columns
        self.seed = seed

    def fit(self, features: pd.DataFrame, truth: Any = None) -> "PictureColumns":
        """Looks at pictures, not at a target."""
        self.fit_transform(features, truth)
        return self

    def fit_transform(self, features: pd.DataFrame, truth: Any = None, **_: Any) -> pd.DataFrame:
        """Looks at pictures and returns what `transform` does."""
        self.feature_names_in_ = np.array(features.columns, object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.coders_ = {}
        codes = {}
        for name, shape in (self.shapes or {}).items():
            pictures = pictures_of(features[name].tolist(), shape)
            self.coders_[name], codes[name] = PictureCoder.learned(
                pictures, self.patches, self.columns, self.seed
            )
        return self._beside(features, codes)

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Returns the data frame with further columns, float64."""
        shapes = self.shapes or {}
        codes = {
            name: coder.codes(pictures_of(features[name].tolist(), shapes[name]))
            for name, coder in self.coders_.items()
        }
        return self._beside(features, codes)

    def _beside(
        self, features: pd.DataFrame, codes: Mapping[str, npt.NDArray[np.float64]]
    ) -> pd.DataFrame:
        found = [
            pd.DataFrame(codes[name], features.index, coder.names(name), copy=False)
            for name, coder in self.coders_.items()
        ]
        return pd.concat([features, *found], axis=1)

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of the columns of pictures, with a picture of each."""
        positions = {name: place for place, name in enumerate(self.feature_names_in_)}
        for name, shape in (self.shapes or {}).items():
            yield positions[name], [np.zeros(tuple(shape), np.uint8)]


def _patched(pictures: Floats) -> Floats:
    return _within(pictures, _PATCH_SIDE)


def _within(pictures: Floats, most: int) -> Floats:
    """Returns pictures of which the longer side is not beyond a length, the shorter is of use."""
    height, width = pictures.shape[1:3]
    share = min(most / max(height, width), 1.0)
    sides = tuple(max(round(side * share), _LEAST_SIDE) for side in (height, width))
    return pictures if sides == (height, width) else resized(pictures, *sides)

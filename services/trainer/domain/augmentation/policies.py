"""What each way of changing rows may be told: ranges, defaults, and the data that it is for."""

from typing import Literal

from pydantic import Field, model_validator

from common.networks.specification import Specification

Data = Literal["images", "tables", "texts", "series"]
Border = Literal["edge", "black", "reflection"]


class Flip(Specification):
    """Mirrors images."""

    axis: Literal["horizontal", "vertical"] = "horizontal"


class Crop(Specification):
    """Shifts images by whole pixels, as cutting windows out of padded ones does."""

    padding: int | None = Field(None, ge=1, le=1_024)


class Affine(Specification):
    """Turns, shifts, scales and shears images."""

    rotation: float = Field(10.0, ge=0, le=180)
    translation: float = Field(0.1, ge=0, le=0.5)
    scaling: float = Field(0.1, ge=0, le=1)
    shear: float = Field(5.0, ge=0, le=45)


class Color(Specification):
    """Changes how light and how colourful images are."""

    brightness: float = Field(0.2, ge=0, le=1)
    contrast: float = Field(0.2, ge=0, le=1)
    saturation: float | None = Field(None, ge=0, le=1)
    hue: float | None = Field(None, ge=0, le=0.5)


class Erasing(Specification):
    """Hides a rectangle of each image."""

    min_area: float = Field(0.02, gt=0, le=1)
    max_area: float = Field(0.2, gt=0, le=1)
    min_ratio: float = Field(0.3, gt=0, le=1)

    @model_validator(mode="after")
    def _is_ordered(self) -> "Erasing":
        if self.min_area > self.max_area:
            raise ValueError("min_area must be at most max_area; lower it, or raise max_area")
        return self


class RandAugment(Specification):
    """Draws changes of images from a fixed set."""

    operations: int = Field(2, ge=1, le=16)
    magnitude: float = Field(9.0, ge=0, le=30)


class Mixup(Specification):
    """Blends rows with others, targets included."""

    alpha: float = Field(0.2, gt=0, le=10)
    target_bandwidth: float | None = Field(None, gt=0, le=10)


class CutMix(Specification):
    """Puts rectangles of other images into images, with their share of the target."""

    alpha: float = Field(1.0, gt=0, le=10)


class Noise(Specification):
    """Adds noise to numbers, in deviations of their columns."""

    scale: float = Field(0.1, gt=0, le=10)


class Interpolation(Specification):
    """Puts rows between themselves and a similar one of the same class."""

    candidates: int = Field(10, ge=1, le=100)


class CategoryDropout(Specification):
    """Makes categories unknown."""

    rate: float = Field(0.1, gt=0, lt=1)


class Jitter(Specification):
    """Adds noise to a series, in deviations of each window."""

    scale: float = Field(0.05, gt=0, le=10)


class Scaling(Specification):
    """Multiplies a series by a number near 1."""

    scale: float = Field(0.1, gt=0, le=1)


class TimeWarp(Specification):
    """Lets time run faster and slower within a window."""

    knots: int = Field(4, ge=1, le=100)
    strength: float = Field(0.2, gt=0, le=2)


class WindowSlice(Specification):
    """Stretches a part of a window to its length."""

    share: float = Field(0.9, gt=0, lt=1)


class Permutation(Specification):
    """Puts parts of a window into another order."""

    segments: int = Field(4, ge=2, le=100)


class CharacterNoise(Specification):
    """Makes typing errors."""

    rate: float = Field(0.05, gt=0, le=1)


class WordSwap(Specification):
    """Exchanges neighbouring words."""

    rate: float = Field(0.1, gt=0, le=1)


class WordDeletion(Specification):
    """Leaves out words."""

    rate: float = Field(0.1, gt=0, lt=1)


class SynonymList(Specification):
    """Words that may stand for another one."""

    words: tuple[str, ...] = Field(min_length=1, max_length=1_000)


class Synonyms(Specification):
    """Replaces words by others of their meaning."""

    rate: float = Field(0.3, gt=0, le=1)
    words: dict[str, SynonymList] = Field(min_length=1, max_length=100_000)


_IMAGES: frozenset[Data] = frozenset({"images"})
_TABLES: frozenset[Data] = frozenset({"tables"})
_SERIES: frozenset[Data] = frozenset({"series"})
_TEXTS: frozenset[Data] = frozenset({"texts"})
DATA: dict[str, frozenset[Data]] = {
    "flip": _IMAGES,
    "crop": _IMAGES,
    "affine": _IMAGES,
    "color": _IMAGES,
    "erasing": _IMAGES,
    "rand_augment": _IMAGES,
    "mixup": _IMAGES | _TABLES,
    "cut_mix": _IMAGES,
    "noise": _TABLES,
    "interpolation": _TABLES,
    "category_dropout": _TABLES,
    "jitter": _SERIES,
    "scaling": _SERIES,
    "time_warp": _SERIES,
    "window_slice": _SERIES,
    "permutation": _SERIES,
    "character_noise": _TEXTS,
    "word_swap": _TEXTS,
    "word_deletion": _TEXTS,
    "synonyms": _TEXTS,
}
"""What each kind of policy changes."""
KINDS = tuple(DATA)
MOVING = frozenset({"time_warp", "window_slice", "permutation"})
"""Kinds that move the values of a series to other points in time."""
HALF = frozenset({"flip", "erasing", "cut_mix"})
"""Kinds that change every other row unless told otherwise; the rest change every row."""

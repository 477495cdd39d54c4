"""Numbers of like scale, without gaps."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin

from common.models.estimators.frame_values import Matrix

SCALINGS = ("standard", "robust", "quantile", "mixed", "none")
"""`mixed` brings skewed columns to quantiles and standardises the others."""

# As `TableCodes` writes what is infinite.
_INFINITE = 1e30
_QUANTILES = 201
_FEW_VALUES = 10
_SKEWED = 1.0
# Of normal values one in a thousand lies beyond: farther out no quantile says anything.
_TAIL = 1e-3


class NumberScaler(TransformerMixin, BaseEstimator):
    """Fills gaps, marks them, and scales; constant columns are left out.

    Values far outside of what was learned are brought back to one span beyond it.

    Attributes:
        scaling: One of `SCALINGS`.
        imputation: What fills gaps: `mean` or `median`.
        kept_: Positions of the columns that are not constant.
        marked_: Positions among these of the columns with gaps, which get an indicator each.
    """

    def __init__(self, scaling: str = "standard", imputation: str = "mean") -> None:
        """Takes what is to be done; see the class."""
        self.scaling = scaling
        self.imputation = imputation

    def fit(self, numbers: Matrix, truth: Any = None) -> "NumberScaler":
        """Learns from numbers with NaN for missing, (rows, columns)."""
        self.n_features_in_ = numbers.shape[1]
        finite = np.where(np.abs(numbers) < _INFINITE, numbers, np.nan)
        low, high = np.fmin.reduce(finite), np.fmax.reduce(finite)
        gaps = np.isnan(numbers).mean(axis=0)
        has_gaps = (gaps > 0) & (gaps < 1)
        self.kept_ = np.flatnonzero((low < high) | (has_gaps & (low == high)))
        self.marked_ = np.flatnonzero(has_gaps[self.kept_])
        finite, low, high = finite[:, self.kept_], low[self.kept_], high[self.kept_]
        self.low_, self.high_ = 2 * low - high, 2 * high - low
        middle = np.nanmedian if self.imputation == "median" else np.nanmean
        self.fill_ = middle(finite, axis=0) if len(self.kept_) else low
        self.centre_, self.scale_ = self._scale(finite)
        self._learn_quantiles(finite)
        return self

    def transform(self, numbers: Matrix) -> Matrix:
        """Returns finite numbers, then indicators of gaps, float64 (rows, columns)."""
        taken = numbers[:, self.kept_]
        is_gap = np.isnan(taken)
        filled = np.clip(np.where(is_gap, self.fill_, taken), self.low_, self.high_)
        scaled: Matrix = (filled - self.centre_) / self.scale_
        for column, knots in zip(self.curved_, self.knots_, strict=True):
            scaled[:, column] = _normal(filled[:, column], knots)
        if not len(self.marked_):
            return scaled
        return np.column_stack([scaled, is_gap[:, self.marked_]])

    def _scale(self, finite: Matrix) -> tuple[Matrix, Matrix]:
        width = finite.shape[1]
        if self.scaling == "none" or not width:
            return np.zeros(width), np.ones(width)
        centre, scale = np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)
        if self.scaling == "robust":
            lower, centre, upper = np.nanpercentile(finite, (25, 50, 75), axis=0)
            # Of normal values, this is the standard deviation too.
            scale = np.where(upper > lower, (upper - lower) / 1.349, scale)
        return centre, np.where(scale > 0, scale, 1.0)

    def _learn_quantiles(self, finite: Matrix) -> None:
        self.curved_: list[int] = []
        self.knots_: list[npt.NDArray[np.float64]] = []
        for column in range(finite.shape[1] if self.scaling in ("quantile", "mixed") else 0):
            values = finite[:, column]
            values = values[~np.isnan(values)]
            if self._is_curved(values):
                self.curved_.append(column)
                self.knots_.append(np.quantile(values, np.linspace(0, 1, _QUANTILES)))

    def _is_curved(self, values: npt.NDArray[np.float64]) -> bool:
        if len(np.unique(values)) < _FEW_VALUES:
            return False
        if self.scaling == "quantile":
            return True
        centred = (values - values.mean()) / values.std()
        return bool(abs(np.mean(centred**3)) > _SKEWED)


def _normal(
    values: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Returns values by their rank among what was learned, as if that were normal."""
    shares = np.linspace(0, 1, len(knots))
    # Values that repeat are in the middle of their ranks: interpolated from either side.
    upper = np.interp(values, knots, shares)
    lower = -np.interp(-values, -knots[::-1], -shares[::-1])
    found: npt.NDArray[np.float64] = ndtri(np.clip((lower + upper) / 2, _TAIL, 1 - _TAIL))
    return found

"""The columns that tell most about the target, each for itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.extmath import safe_sparse_dot

from common.models.estimators.frame_values import Matrix
from common.models.estimators.targets import target_columns


class Selection(TransformerMixin, BaseEstimator):
    """Keeps a share of the columns, those with the largest correlation with the target.

    Attributes:
        share: How much is kept, above 0; one column at least.
        has_classes: Whether the target is positions of classes; else it is numbers or labels.
        kept_: Positions of the columns that are kept, ascending.
    """

    def __init__(self, share: float = 1.0, has_classes: bool = False) -> None:
        """Takes what is to be done; see the class."""
        self.share = share
        self.has_classes = has_classes

    def fit(self, features: Any, truth: npt.NDArray[np.generic]) -> "Selection":
        """Learns which columns are kept, of numbers that may be missing unless sparse."""
        self.n_features_in_ = features.shape[1]
        count = max(round(self.share * features.shape[1]), 1)
        scores = _scores(features, target_columns(truth, self.has_classes))
        self.kept_ = np.sort(np.argsort(-scores, kind="stable")[:count])
        return self

    def transform(self, features: Any) -> Any:
        """Returns the columns that are kept."""
        return features[:, self.kept_]


def _scores(features: Any, target: Matrix) -> npt.NDArray[np.float64]:
    """Returns the sum of squared correlations with each output of the target, (columns,)."""
    target = target - target.mean(axis=0)
    spread = target.std(axis=0)
    target = target / np.where(spread > 0, spread, 1.0)
    if sparse.issparse(features):
        mean = np.asarray(features.mean(axis=0)).ravel()
        variance = np.asarray(features.multiply(features).mean(axis=0)).ravel() - mean**2
    else:
        is_known = ~np.isnan(features)
        mean = np.nansum(features, axis=0) / np.maximum(is_known.sum(axis=0), 1)
        features = np.where(is_known, features - mean, 0.0)
        variance = (features**2).mean(axis=0)
    products = np.asarray(safe_sparse_dot(features.T, target)) / len(target)
    found: npt.NDArray[np.float64] = (products**2).sum(axis=1)
    return np.where(variance > 0, found / np.where(variance > 0, variance, 1.0), 0.0)

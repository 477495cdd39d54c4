"""Fewer columns that tell most of what many do."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.extmath import randomized_svd, safe_sparse_dot

from common.models.estimators.frame_values import Matrix

# More rounds change what is learned with components by less than another seed does.
_ROUNDS = 2


class Components(TransformerMixin, BaseEstimator):
    """Principal components of arrays; of sparse rows those of a decomposition without centring.

    Attributes:
        count: How many; fewer where there are not as many rows or columns.
        seed: Of the randomised decomposition.
        directions_: (columns, components).
        offset_: The components of the mean row, (components,).
    """

    def __init__(self, count: int = 50, seed: int = 0) -> None:
        """Takes what is to be done; see the class."""
        self.count = count
        self.seed = seed

    def fit(self, features: Any, truth: Any = None) -> "Components":
        """Learns from numbers without gaps, (rows, columns), an array or sparse."""
        self.n_features_in_ = features.shape[1]
        mean = np.zeros(features.shape[1])
        if not sparse.issparse(features):
            mean = features.mean(axis=0)
            features = features - mean
        count = min(self.count, *features.shape)
        if not count:
            self.directions_ = np.zeros((features.shape[1], 0))
        else:
            single = features.astype(np.float32)
            found = randomized_svd(single, count, n_iter=_ROUNDS, random_state=self.seed)
            self.directions_ = np.ascontiguousarray(found[2].T, np.float64)
        self.offset_ = mean @ self.directions_
        return self

    def transform(self, features: Any) -> Matrix:
        """Returns the components, float64 (rows, components)."""
        found = safe_sparse_dot(features, self.directions_, dense_output=True)
        return np.asarray(found - self.offset_, np.float64)

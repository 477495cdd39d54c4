"""Nearest neighbours whose votes are weighted and smoothed. Imports scikit-learn."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.neighbors import NearestNeighbors

Floats = npt.NDArray[np.float64]

_CHUNK = 1024
_NEAREST = 0.01
_LEAST_SMOOTHING = 1e-9


class Neighbours(BaseEstimator):
    """Weighted means of what the nearest rows have.

    Attributes:
        neighbours: How many rows are asked.
        metric: `euclidean`, `manhattan` or `cosine`.
        weighting: `uniform`, or `distance`: the nearer, the more.
        smoothing: How many rows more are asked, which say what all rows together say.
    """

    def __init__(
        self,
        neighbours: int = 15,
        metric: str = "euclidean",
        weighting: str = "distance",
        smoothing: float = 0.0,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.neighbours = neighbours
        self.metric = metric
        self.weighting = weighting
        self.smoothing = smoothing

    def _keep(self, features: Any, values: Floats, weights: Floats | None) -> None:
        """Keeps rows, with values of shape (rows, values)."""
        count = min(self.neighbours, features.shape[0])
        self.search_ = NearestNeighbors(n_neighbors=count, metric=self.metric, n_jobs=1)
        self.search_.fit(features)
        self.n_features_in_ = int(features.shape[1])
        self.values_ = values
        self.weights_ = np.ones(len(values)) if weights is None else weights / weights.mean()
        self.prior_ = np.average(values, axis=0, weights=self.weights_)

    def _means(self, features: Any) -> Floats:
        """Returns the means for rows, (rows, values)."""
        starts = range(0, features.shape[0], _CHUNK)
        parts = [self._part(features[start : start + _CHUNK]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self.values_.shape[1]))

    def _part(self, features: Any) -> Floats:
        distances, rows = self.search_.kneighbors(features)
        weights = self._closeness(distances) * self.weights_[rows]
        found = np.einsum("rn,rnv->rv", weights, self.values_[rows])
        more = max(self.smoothing, _LEAST_SMOOTHING)  # neighbours may weigh nothing
        total = weights.sum(axis=1, keepdims=True)
        means: Floats = (found + more * self.prior_) / (total + more)
        return means

    def _closeness(self, distances: Floats) -> Floats:
        """Returns weights of neighbours, 1 on average."""
        if self.weighting == "uniform":
            return np.ones_like(distances)
        farthest = np.maximum(distances[:, -1:], 1e-12)
        closeness = 1 / (distances / farthest + _NEAREST)
        weights: Floats = closeness / closeness.mean(axis=1, keepdims=True)
        return weights


class NeighboursClassifier(ClassifierMixin, Neighbours):
    """One class of several, or for many labels which of them there are."""

    def fit(self, features: Any, truth: npt.NDArray[Any], sample_weight: Any = None) -> Self:
        """Keeps rows; truth is (rows,), or 0 and 1 as (rows, labels)."""
        if truth.ndim > 1:
            self.classes_: Any = [np.array([0, 1])] * truth.shape[1]
            values = truth.astype(np.float64)
        else:
            self.classes_, codes = np.unique(truth, return_inverse=True)
            values = np.eye(len(self.classes_))[codes]
        self._keep(features, values, sample_weight)
        return self

    def predict_proba(self, features: Any) -> Floats:
        """Returns probabilities, (rows, classes); of many labels (rows, labels)."""
        return self._means(features)

    def predict(self, features: Any) -> npt.NDArray[Any]:
        """Returns the most likely class, or the labels that are more likely than not."""
        found = self.predict_proba(features)
        if isinstance(self.classes_, list):
            return (found > 0.5).astype(np.int64)
        return np.asarray(self.classes_[found.argmax(axis=1)])


class NeighboursRegressor(RegressorMixin, Neighbours):
    """Values."""

    def fit(self, features: Any, truth: npt.NDArray[Any], sample_weight: Any = None) -> Self:
        """Keeps rows; truth is (rows,)."""
        self._keep(features, truth.astype(np.float64)[:, None], sample_weight)
        return self

    def predict(self, features: Any) -> Floats:
        """Returns values, (rows,)."""
        return self._means(features)[:, 0]

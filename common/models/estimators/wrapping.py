"""Estimators around a fitted one, which look at a table in another way before it does."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class Wrapped(BaseEstimator, ABC):
    """What classifiers and regressors share; made by `of`, never fitted themselves.

    Attributes:
        estimator_: The fitted one.
        n_features_in_: Number of the columns that this one asks for.
        feature_names_in_: Their names.
    """

    # Named as in scikit-learn, so that `frames.columns_of` finds what the encoders know.
    estimator_: Any
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    def fit(self, features: Any, truth: Any) -> Self:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError(f"{type(self).__name__} is made of a fitted estimator: make one with `of`.")

    def predict(self, features: Any) -> Any:
        """Returns what the estimator does.

        Args:
            features: A data frame with the columns that it asks for, and any others.

        Raises:
            ValueError: A column is missing; says which.
        """
        return self.estimator_.predict(self._table(features))

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `of` made it."""
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @abstractmethod
    def _table(self, features: Any) -> Any:
        """Returns what the estimator takes."""

    def _require_columns(self, features: Any) -> None:
        """Raises `ValueError` where a data frame lacks a column that is asked for."""
        missing = [name for name in self.feature_names_in_ if name not in features.columns]
        if missing:
            raise ValueError(f"The column `{missing[0]}`, which the model takes, is missing.")


class WrappedClassifier(ClassifierMixin, Wrapped):
    """Predicts one class of several, or many labels, as its estimator does."""

    @property
    def classes_(self) -> Any:
        """Those of the estimator."""
        return self.estimator_.classes_

    @property
    def predict_proba(self) -> Callable[[Any], Any]:
        """Returns probabilities as the estimator does, see `predict`; missing if it gives none."""
        own = self.estimator_.predict_proba
        return lambda features: own(self._table(features))


class WrappedRegressor(RegressorMixin, Wrapped):
    """Predicts values as its estimator does."""

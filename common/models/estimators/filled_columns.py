"""Fitted estimators that do without some columns: typical values stand in for these."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

Filler = float | str | bool | None


class _FilledColumns(BaseEstimator):
    """What classifiers and regressors share; made by `of`, never fitted themselves.

    Tables with all columns that the estimator was fitted on are taken, too: what it does without is
    not looked at.

    Attributes:
        estimator_: Fitted on data frames with all columns.
        all_names_: Names of all columns, in order.
        fillers_: What stands in for the columns that it does without, by name.
        n_features_in_: Number of the columns that it asks for.
        feature_names_in_: Their names.
    """

    # Named as in scikit-learn, so that `frames.columns_of` finds what the encoders know.
    estimator_: Any
    all_names_: list[str]
    fillers_: dict[str, Filler]
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    @classmethod
    def of(cls, estimator: Any, names: Sequence[str], fillers: Mapping[str, Filler]) -> Self:
        """Returns an estimator that asks for fewer columns; see the attributes."""
        made = cls()
        made.estimator_ = estimator
        made.all_names_ = list(names)
        made.fillers_ = dict(fillers)
        kept = [name for name in names if name not in fillers]
        made.n_features_in_ = len(kept)
        made.feature_names_in_ = np.array(kept, dtype=object)
        return made

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

    def _table(self, features: Any) -> pd.DataFrame:
        kept = self.feature_names_in_.tolist()
        if not isinstance(features, pd.DataFrame):
            features = pd.DataFrame(features, columns=kept)
        missing = [name for name in kept if name not in features.columns]
        if missing:
            raise ValueError(f"The column `{missing[0]}`, which the model takes, is missing.")
        columns = {
            name: self._filled(name, len(features)) if name in self.fillers_ else features[name]
            for name in self.all_names_
        }
        return pd.DataFrame(columns, index=features.index)

    def _filled(self, name: str, count: int) -> npt.NDArray[Any]:
        value = self.fillers_[name]
        kind = object if value is None or isinstance(value, str) else type(value)
        return np.full(count, value, dtype=kind)


class FilledColumnsClassifier(ClassifierMixin, _FilledColumns):
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


class FilledColumnsRegressor(RegressorMixin, _FilledColumns):
    """Predicts values as its estimator does."""

"""Estimators that look at some columns only of the tables that they are given."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.models.estimators.packing import Packed
from common.models.estimators.wrapping import Wrapped, WrappedClassifier, WrappedRegressor


class _FewerColumns(Packed, Wrapped):
    """What classifiers and regressors share.

    They ask for the columns that they need. Tables with all that others like them once took are
    taken, too: what is not needed is not looked at.

    Attributes:
        estimator_: Fitted on the columns that are needed, in order.
        all_names_: Names of all columns of tables of before, in order.
        kept_: Positions among these of the columns that are needed, in order.
    """

    packed = ("all_names_",)

    all_names_: list[str]
    kept_: list[int]

    @classmethod
    def of(cls, estimator: Any, kept: Sequence[str], names: Sequence[str]) -> Self:
        """Returns an estimator that takes tables of before.

        Args:
            estimator: Fitted on a data frame with the columns that are needed or, if it knows no
                names, on an array of them.
            kept: Their names, in the order that it was fitted on.
            names: See `all_names_`.

        Raises:
            ValueError: A column that is needed was none of a table of before, or the estimator was
                fitted on others.
        """
        own = getattr(estimator, "feature_names_in_", kept)
        if list(own) != list(kept):
            raise ValueError("The estimator was fitted on other columns than those that are kept.")
        made = cls()
        made.estimator_ = estimator
        made.all_names_ = list(names)
        made.kept_ = [made.all_names_.index(name) for name in kept]
        made.n_features_in_ = len(made.kept_)
        made.feature_names_in_ = np.array(list(kept), dtype=object)
        return made

    @property
    def ignored_names_(self) -> list[str]:
        """Names of the columns that are not looked at, in order."""
        kept = set(self.kept_)
        return [name for place, name in enumerate(self.all_names_) if place not in kept]

    def _table(self, features: Any) -> Any:
        """Returns the columns that are needed, as the estimator takes them."""
        names = self.feature_names_in_.tolist()
        if isinstance(features, pd.DataFrame):
            self._require_columns(features)
            table = features[names]
        else:
            table = pd.DataFrame(self._needed(np.asarray(features)), columns=names)
        is_named = hasattr(self.estimator_, "feature_names_in_")
        return table if is_named else table.to_numpy()

    def _needed(self, features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        width = features.shape[1]
        if width == len(self.kept_):
            return features
        if width == len(self.all_names_):
            return features[:, self.kept_]
        raise ValueError(
            f"There are {width} columns; the model takes {len(self.kept_)}, or the "
            f"{len(self.all_names_)} of before."
        )


class FewerColumnsClassifier(_FewerColumns, WrappedClassifier):
    """Predicts one class of several, or many labels, as its estimator does."""


class FewerColumnsRegressor(_FewerColumns, WrappedRegressor):
    """Predicts values as its estimator does."""

"""Fitted estimators that do without some columns: typical values stand in for these."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.models.estimators.wrapping import Wrapped, WrappedClassifier, WrappedRegressor
from common.models.frames import known_values

Filler = float | str | bool | None


class _FilledColumns(Wrapped):
    """What classifiers and regressors share.

    Tables with all columns that the estimator was fitted on are taken, too: what it does without is
    not looked at.

    Attributes:
        all_names_: Names of all columns of the data frames that the estimator was fitted on.
        fillers_: What stands in for the columns that it does without, by name.
    """

    all_names_: list[str]
    fillers_: dict[str, Filler]

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

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of its columns with values that they may have; see `columns_of`."""
        places = {name: place for place, name in enumerate(self.feature_names_in_)}
        for position, values in known_values(self.estimator_, range(len(self.all_names_))):
            name = self.all_names_[position]
            if name in places:
                yield places[name], values

    def _table(self, features: Any) -> pd.DataFrame:
        if not isinstance(features, pd.DataFrame):
            features = pd.DataFrame(features, columns=self.feature_names_in_.tolist())
        self._require_columns(features)
        columns = {
            name: self._filled(name, len(features)) if name in self.fillers_ else features[name]
            for name in self.all_names_
        }
        return pd.DataFrame(columns, index=features.index)

    def _filled(self, name: str, count: int) -> npt.NDArray[Any]:
        value = self.fillers_[name]
        kind = object if value is None or isinstance(value, str) else type(value)
        return np.full(count, value, dtype=kind)


class FilledColumnsClassifier(_FilledColumns, WrappedClassifier):
    """Predicts one class of several, or many labels, as its estimator does."""


class FilledColumnsRegressor(_FilledColumns, WrappedRegressor):
    """Predicts values as its estimator does."""

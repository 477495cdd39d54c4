"""Transformers one after the other, without what a pipeline of scikit-learn costs a single row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class Chain(TransformerMixin, BaseEstimator):
    """Transformers, of which each takes what the one before gives; the first takes a data frame.

    They are fitted in place: a chain is not to be fitted while another with the same parts is used.

    Attributes:
        parts: The transformers.
    """

    def __init__(self, parts: Sequence[Any] = ()) -> None:
        """Takes the transformers."""
        self.parts = parts

    def fit(self, features: pd.DataFrame, truth: Any = None) -> "Chain":
        """Fits all, one after the other."""
        self.fit_transform(features, truth)
        return self

    def fit_transform(self, features: pd.DataFrame, truth: Any = None, **_: Any) -> Any:
        """Fits all and returns what the last gives."""
        self.feature_names_in_ = np.array(features.columns, object)
        self.n_features_in_ = len(self.feature_names_in_)
        values: Any = features
        for part in self.parts:
            values = part.fit_transform(values, truth)
        return values

    def transform(self, features: pd.DataFrame) -> Any:
        """Returns what the last gives."""
        values: Any = features
        for part in self.parts:
            values = part.transform(values)
        return values

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields what the first knows of the columns; see `TableCodes.known_values`."""
        yield from self.parts[0].known_values()

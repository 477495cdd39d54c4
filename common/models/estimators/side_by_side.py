"""Transformers that each look at the same table."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin


class SideBySide(TransformerMixin, BaseEstimator):
    """Puts what several transformers make of a data frame beside each other.

    Attributes:
        parts: The transformers, fitted in place.
    """

    def __init__(self, parts: Sequence[Any] = ()) -> None:
        """Takes the transformers."""
        self.parts = parts

    def fit(self, features: pd.DataFrame, truth: Any = None) -> "SideBySide":
        """Fits all."""
        self.fit_transform(features, truth)
        return self

    def fit_transform(self, features: pd.DataFrame, truth: Any = None, **_: Any) -> Any:
        """Fits all and returns what they give."""
        self.feature_names_in_ = np.array(features.columns, object)
        self.n_features_in_ = len(self.feature_names_in_)
        return beside([part.fit_transform(features, truth) for part in self.parts])

    def transform(self, features: pd.DataFrame) -> Any:
        """Returns float64 (rows, columns): an array, or sparse rows if a part gives such."""
        return beside([part.transform(features) for part in self.parts])

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields what the parts know of the columns; see `TableCodes.known_values`."""
        for part in self.parts:
            yield from part.known_values()


def beside(parts: Sequence[Any]) -> Any:
    """Returns matrices beside each other: sparse rows where one is sparse."""
    if len(parts) == 1:
        return parts[0]
    if any(map(sparse.issparse, parts)):
        return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr")
    return np.column_stack(parts)

"""Columns of texts as numbers."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone

from common.models.estimators.components import Components
from common.models.estimators.frame_values import FrameValues, Matrix, text_of
from common.models.estimators.side_by_side import beside
from common.models.estimators.text_terms import TextTerms

_NAMED = 50
_LOGARITHMS = 2
# What the start of a text consists of tells as much as all of it.
_LOOKED_AT = 1000


class TextColumns(TransformerMixin, BaseEstimator):
    """Rates the terms of each column of texts, and counts what texts consist of.

    Attributes:
        texts: Names of the columns.
        terms: How terms are found; each way is used on each column. Not fitted.
        components: Into so many columns the terms of a column are pressed; 0 for as they are.
        seed: Of all chance.
        terms_: The ways as fitted, for one column after the other.
        components_: What presses them, for each column.
    """

    def __init__(
        self,
        texts: Sequence[str] = (),
        terms: Sequence[TextTerms] = (),
        components: int = 0,
        seed: int = 0,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.texts = texts
        self.terms = terms
        self.components = components
        self.seed = seed

    def fit(self, features: pd.DataFrame, truth: Any = None) -> "TextColumns":
        """Learns the terms."""
        self.fit_transform(features, truth)
        return self

    def fit_transform(self, features: pd.DataFrame, truth: Any = None, **_: Any) -> Any:
        """Learns the terms and returns what `transform` does."""
        self.feature_names_in_ = np.array(features.columns, object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.terms_: list[TextTerms] = []
        self.components_: list[Components] = []
        found = []
        for texts in _read(features, self.texts):
            own = [clone(way) for way in self.terms]
            rated = beside([way.fit_transform(texts) for way in own])
            self.terms_ += own
            if self.components:
                press = Components(self.components, self.seed)
                self.components_.append(press)
                rated = press.fit_transform(rated)
            found += [rated, _counts(texts)]
        return beside(found)

    def transform(self, features: pd.DataFrame) -> Any:
        """Returns float64 (rows, columns): an array where terms are pressed, else sparse rows."""
        found = []
        for place, texts in enumerate(_read(features, self.texts)):
            ways = self.terms_[place * len(self.terms) : (place + 1) * len(self.terms)]
            rated = beside([way.transform(texts) for way in ways])
            if self.components:
                rated = self.components_[place].transform(rated)
            found += [rated, _counts(texts)]
        return beside(found)

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of the columns of texts, with some words that are known."""
        positions = {name: place for place, name in enumerate(self.feature_names_in_)}
        for place, name in enumerate(self.texts):
            first = self.terms_[place * len(self.terms)]
            yield positions[name], first.terms_[:_NAMED] or ["word"]


def _read(features: pd.DataFrame, names: Sequence[str]) -> Iterator[list[str]]:
    values = FrameValues(features, names)
    for place in range(len(names)):
        yield [text_of(value) or "" for value in values.texts(place)]


def _counts(texts: Sequence[str]) -> Matrix:
    """Returns how long texts are, and of what; about from 0 to 1 each."""
    counts = np.array([_count(text) for text in texts], np.float64).reshape(len(texts), -1)
    # As long as texts of any use are, this is less than 2.
    counts[:, :_LOGARITHMS] = np.log1p(counts[:, :_LOGARITHMS]) / 8
    return counts


def _count(text: str) -> tuple[float, ...]:
    start = text[:_LOOKED_AT]
    share = 1 / max(len(start), 1)
    digits = sum(map(str.isdigit, start))
    capitals = sum(map(str.isupper, start))
    marks = len(start) - sum(map(str.isalnum, start)) - start.count(" ")
    return (len(text), text.count(" ") + 1, digits * share, capitals * share, marks * share)

"""Tables as numbers: the first step of every preparation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from common.models.estimators.calendar import calendar, calendar_names, compared
from common.models.estimators.frame_values import FrameValues, Matrix, text_of
from common.models.estimators.packing import Packed, in_natural_order

# Beyond what any measure gives, and small enough that float32 holds it.
_LARGEST = 1e30
_NAMED = 1000


class TableCodes(Packed, TransformerMixin, BaseEstimator):
    """Makes a matrix of a data frame, NaN for missing: of trees' use as it is.

    Its columns are the numbers, a code for each category (positions among the levels in natural
    order; NaN for missing and for levels that were not there), those of many levels (by frequency,
    the most frequent first), and what the calendar tells of times, with the seconds between them.

    Attributes:
        numbers: Names of columns of numbers and truth values.
        categories: Names of columns of categories.
        ranked: Names of columns of categories with many levels.
        times: Names of columns of times, as times or as seconds since 1970.
        is_cyclic: Whether hours, days and months are given as sine and cosine besides.
        levels_: Levels of each column of `categories`, then of `ranked`.
    """

    packed = ("levels_",)
    derived = ("_codes",)

    def __init__(
        self,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        ranked: Sequence[str] = (),
        times: Sequence[str] = (),
        is_cyclic: bool = False,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.numbers = numbers
        self.categories = categories
        self.ranked = ranked
        self.times = times
        self.is_cyclic = is_cyclic

    def fit(self, features: pd.DataFrame, truth: Any = None) -> "TableCodes":
        """Learns the levels of categories."""
        self.feature_names_in_ = np.array(features.columns, object)
        self.n_features_in_ = len(self.feature_names_in_)
        values = FrameValues(features, self._taken)
        start = len(self.numbers)
        middle = start + len(self.categories)
        last = middle + len(self.ranked)
        self.levels_ = [_levels(values.texts(place)) for place in range(start, middle)]
        self.levels_ += [_ranked_levels(values.texts(place)) for place in range(middle, last)]
        self.__dict__.pop("_codes", None)
        return self

    def transform(self, features: pd.DataFrame) -> Matrix:
        """Returns the matrix, float64 (rows, columns).

        Raises:
            ValueError: A column is missing, or texts are where numbers were.
        """
        values = FrameValues(features, self._taken)
        numbers, coded = len(self.numbers), len(self.numbers) + len(self.levels_)
        matrix = np.zeros((len(features), self._width), order="F")
        if numbers:
            np.clip(values.numbers(range(numbers)), -_LARGEST, _LARGEST, matrix[:, :numbers])
        for place, codes in enumerate(self._tables(), numbers):
            matrix[:, place] = _coded(values.texts(place), codes)
        if self.times:
            seconds = values.seconds(range(coded, coded + len(self.times)))
            self._tell_times(seconds, matrix[:, coded:])
        return matrix

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Returns the names of the matrix' columns."""
        names = [*self.numbers, *self.categories, *self.ranked]
        for time in self.times:
            names += calendar_names(time, self.is_cyclic)
        pairs = compared(len(self.times))
        names += [f"{self.times[late]} - {self.times[early]}" for early, late in pairs]
        return np.array(names, object)

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of columns of the table, with the levels that are known of them."""
        positions = {name: place for place, name in enumerate(self.feature_names_in_)}
        for name, levels in zip((*self.categories, *self.ranked), self.levels_, strict=True):
            yield positions[name], levels[:_NAMED] or ["none"]

    def _tell_times(self, seconds: Matrix, matrix: Matrix) -> None:
        width = len(calendar_names("", self.is_cyclic))
        for place in range(seconds.shape[1]):
            told = calendar(seconds[:, place], self.is_cyclic)
            matrix[:, place * width : (place + 1) * width] = told
        for place, (early, late) in enumerate(compared(len(self.times)), seconds.shape[1] * width):
            matrix[:, place] = seconds[:, late] - seconds[:, early]

    @property
    def _taken(self) -> list[str]:
        return [*self.numbers, *self.categories, *self.ranked, *self.times]

    @property
    def _width(self) -> int:
        told = len(self.times) * len(calendar_names("", self.is_cyclic))
        # Estimators refuse tables without any column.
        return max(len(self.numbers) + len(self.levels_) + told + len(compared(len(self.times))), 1)

    def _tables(self) -> list[dict[Any, float]]:
        if "_codes" not in vars(self):
            self._codes = [
                {level: float(code) for code, level in enumerate(levels)} for levels in self.levels_
            ]
        return self._codes


def _levels(values: Sequence[Any]) -> list[str]:
    return in_natural_order([text for text in map(text_of, set(values)) if text is not None])


def _ranked_levels(values: Sequence[Any]) -> list[str]:
    counts = Counter(text for text in map(text_of, values) if text is not None)
    return sorted(counts, key=lambda text: (-counts[text], text))


def _coded(values: list[Any], codes: dict[Any, float]) -> npt.NDArray[np.float64]:
    found = np.fromiter(map(codes.get, values, repeat(np.nan)), np.float64, len(values))
    for row in np.flatnonzero(np.isnan(found)):
        if not isinstance(values[row], str):
            found[row] = codes.get(text_of(values[row]), np.nan)
    return found

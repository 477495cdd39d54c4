"""Columns of all kinds as ranks and as bins, with which their dependence can be computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

BINS = 10
"""Most bins of a column, the one of missing values included."""


@dataclass(frozen=True)
class Coding:
    """The columns of a data frame as numbers.

    Attributes:
        scores: Ranks as standard normal values, 0 where missing, (rows, columns).
        bins: From 0 to `BINS` less 1, (rows, columns).
    """

    scores: Floats
    bins: Positions

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Coding":
        """Codes all columns of a data frame."""
        numbers = [numbers_of(frame[name]) for name in frame.columns]
        scores = [_scores(each) for each in numbers]
        bins = [_bins(each) for each in numbers]
        shape = len(frame), len(numbers)
        return cls(
            np.asarray(scores, np.float64).T.reshape(shape),
            np.asarray(bins, np.int64).T.reshape(shape),
        )


def numbers_of(values: "pd.Series[Any]") -> Floats:
    """Returns a column as numbers with NaN for missing, (rows,).

    Of texts these are places in the order of how frequent they are; all that are found once have
    the same, as nothing can be learned from them.
    """
    if values.dtype.kind in "Mm":
        return np.asarray(values.astype("int64").where(values.notna()), np.float64)
    if values.dtype.kind in "biuf":
        return np.asarray(values.to_numpy(np.float64, na_value=np.nan))
    texts = values.astype(object).map(str, na_action="ignore")
    counts = texts.value_counts()
    places = {text: place for place, text in enumerate(counts.index[counts > 1])}
    codes = texts.map(lambda text: float(places.get(text, len(places))), na_action="ignore")
    return np.asarray(codes.astype(np.float64))


def sampled(rows: int, most: int, generator: np.random.Generator) -> Positions:
    """Returns positions of rows, ascending: all, or some by chance where there are more."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(generator.choice(rows, most, replace=False))


def _scores(values: Floats) -> Floats:
    is_known = np.isfinite(values)
    scores = np.zeros(len(values))
    ranks = rankdata(values[is_known])
    scores[is_known] = ndtri((ranks - 0.5) / max(len(ranks), 1))
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros(len(values))


def _bins(values: Floats) -> Positions:
    """Returns bins: a frequent value has one for itself, others share bins of about equal size."""
    is_known = np.isfinite(values)
    found = np.full(len(values), BINS - 1)
    _, codes, counts = np.unique(values[is_known], return_inverse=True, return_counts=True)
    places = np.arange(len(counts))
    if len(counts) >= BINS:
        is_frequent = counts * (BINS - 1) > counts.sum()
        rare = np.where(is_frequent, 0, counts)
        room = BINS - 1 - is_frequent.sum()
        # The middle of a value's ranks says in which bin it is.
        middles = (np.cumsum(rare) - rare / 2) / max(rare.sum(), 1)
        places = np.floor(middles * room).astype(np.int64)
        places[is_frequent] = room + np.arange(is_frequent.sum())
    found[is_known] = places[codes]
    return found

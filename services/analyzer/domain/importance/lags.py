"""Importance of the lags of series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import Fed, Item, Place
from services.analyzer.domain.importance.permutation import PermutationImportance, importance_of
from services.analyzer.domain.importance.plan import Importance
from services.analyzer.domain.series import Series
from services.analyzer.domain.subject import Subject

MOST_LAGS = 64


@dataclass(frozen=True)
class LagImportance:
    """Importance of a lag, or of some that follow each other.

    Attributes:
        first_lag: From 0.
        last_lag: The same but where lags are taken together.
        label: What it is called.
        mean: How far the metric falls when it is permuted.
        low: Of the 95 % confidence interval.
        high: Of the 95 % confidence interval.
    """

    first_lag: int
    last_lag: int
    label: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class SeriesImportance:
    """Importance of a series by lag.

    Attributes:
        name: Of the series.
        lag_count: How many lags it has.
        lags: In order, at most 64.
    """

    name: str
    lag_count: int
    lags: tuple[LagImportance, ...]


def series_importance(
    subject: Subject, budget: Budget, series: Series, columns: PermutationImportance
) -> tuple[SeriesImportance, tuple[str, ...]]:
    """Returns the importance of each lag, or of blocks of lags where there are more than 64.

    Args:
        subject: What is analysed.
        budget: For all lags.
        series: The series.
        columns: What permuting single columns came to; not done again.

    Returns:
        The importance, and notes.
    """
    known = {each.name: each for each in columns.items}
    if not series.is_vector and series.lags <= MOST_LAGS and set(series.columns) <= set(known):
        return _told(series, 1, [known[name] for name in series.columns]), ()
    size = -(-series.lags // MOST_LAGS)
    found = importance_of(subject, budget, lambda rows: _blocks(rows, series, size))
    return _told(series, size, found.items), tuple(f"{series.name}: {n}" for n in found.notes)


def _blocks(rows: Fed, series: Series, size: int) -> list[Item]:
    starts = range(0, series.lags, size)
    return [
        Item(str(start), _places(rows, series, slice(start, min(start + size, series.lags))))
        for start in starts
    ]


def _places(rows: Fed, series: Series, lags: slice) -> tuple[Place, ...]:
    if series.is_vector:
        return _vector_places(rows.places[series.columns[0]], lags)
    return tuple(place for name in series.columns[lags] for place in rows.places[name])


def _vector_places(places: tuple[Place, ...], lags: slice) -> tuple[Place, ...]:
    return places[lags] if len(places) > 1 else (places[0].part(lags),)


def _told(series: Series, size: int, found: Sequence[Importance]) -> SeriesImportance:
    lags = tuple(
        LagImportance(
            first,
            (last := min(first + size, series.lags) - 1),
            series.labels[first] if last == first else f"{series.labels[first]} to {last}",
            each.mean,
            each.low,
            each.high,
        )
        for first, each in zip(np.arange(0, series.lags, size).tolist(), found, strict=True)
    )
    return SeriesImportance(series.name, series.lags, lags)

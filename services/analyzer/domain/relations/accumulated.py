"""Accumulated local effects, first order.

Apley and Zhu, Visualizing the effects of predictor variables in black box supervised learning
models, 2020. They hold where columns correlate: each row's output is compared at the two ends of
the bin that the row is in, so that no row is moved to where there are no data.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from common.data.schema import Column
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.grid import Grid
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.relations.similarity import similarity_order
from services.analyzer.domain.sample import with_column

_RESAMPLES = 100
_BAND = (2.5, 97.5)

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AccumulatedEffect:
    """Accumulated local effects of a column; their mean over the rows is 0.

    Attributes:
        effect: (points, outputs).
        low: Lower end of the 95 % band, by bootstrap over the rows, (points, outputs).
        high: Upper end.
        rows: Rows that they come from.
    """

    effect: Outputs
    low: Outputs
    high: Outputs
    rows: int


@dataclass(frozen=True)
class _LocalEffects:
    """Differences of outputs between neighbouring points.

    Attributes:
        differences: (differences, outputs).
        bins: Between which points each is: `bin` and `bin + 1`, (differences,).
        rows: Which row each belongs to, (differences,).
        sides: Points that each row is between, (2, rows); twice the same where it is at one.
        points: Number of points.
    """

    differences: Outputs
    bins: Places
    rows: Places
    sides: Places
    points: int


def accumulated_effect(
    raw: RawRows, column: Column, grid: Grid, prober: Prober, seed: int
) -> AccumulatedEffect | None:
    """Returns the effects at the points of a grid; None where no row lies on it.

    Rows in which the column is missing, or beyond the grid, are left out.

    Args:
        raw: The rows.
        column: The column.
        grid: Its values, at least two; labels are put in the order of their similarity.
        prober: Asks the model.
        seed: Of the bootstrap.
    """
    values = raw.columns[column.name]
    if grid.is_numeric:
        inside = (values >= grid.values[0]) & (values <= grid.values[-1])
    else:
        inside = np.isin(values, grid.values)
    if not inside.any():
        return None
    chosen = raw.take(inside)
    if grid.is_numeric:
        return _banded(_between_numbers(chosen, column, grid, prober), seed)
    order = similarity_order(chosen, column.name, grid.values)
    found = _banded(_between_labels(chosen, column, grid, prober, order), seed)
    back = np.argsort(order)
    return AccumulatedEffect(found.effect[back], found.low[back], found.high[back], found.rows)


def _between_numbers(raw: RawRows, column: Column, grid: Grid, prober: Prober) -> _LocalEffects:
    edges = grid.values
    bins = np.searchsorted(edges, raw.columns[column.name], side="left") - 1
    bins = np.clip(bins, 0, len(edges) - 2)
    own = edges.astype(raw.columns[column.name].dtype)
    low, high = prober.predict_each(
        [with_column(raw, column.name, own[ends]) for ends in (bins, bins + 1)]
    )
    sides = np.stack([bins, bins + 1])
    return _LocalEffects(high - low, bins, np.arange(raw.count), sides, len(edges))


def _between_labels(
    raw: RawRows, column: Column, grid: Grid, prober: Prober, order: Places
) -> _LocalEffects:
    """Compares each row with itself under the labels before and after its own."""
    values = raw.columns[column.name]
    codes = grid.values[order].astype(values.dtype)
    places = np.argsort(order)[np.searchsorted(grid.values, values)]
    up, down = np.flatnonzero(places < len(codes) - 1), np.flatnonzero(places > 0)
    now, above, below = prober.predict_each(
        [
            raw,
            with_column(raw.take(up), column.name, codes[places[up] + 1]),
            with_column(raw.take(down), column.name, codes[places[down] - 1]),
        ]
    )
    return _LocalEffects(
        np.concatenate([above - now[up], now[down] - below]),
        np.concatenate([places[up], places[down] - 1]),
        np.concatenate([up, down]),
        np.stack([places, places]),
        len(codes),
    )


def _banded(local: _LocalEffects, seed: int) -> AccumulatedEffect:
    count = local.sides.shape[1]
    usual = _bin_means(local, np.ones(count), np.zeros(local.differences.shape[1]))
    effect = _centred(local, usual, np.ones(count))
    generator = np.random.default_rng(seed)
    curves = []
    for _ in range(_RESAMPLES):
        drawn = np.bincount(generator.integers(0, count, count), minlength=count).astype(float)
        curves.append(_centred(local, _bin_means(local, drawn, usual), drawn))
    low, high = np.percentile(curves, _BAND, axis=0)
    return AccumulatedEffect(effect, low, high, count)


def _bin_means(local: _LocalEffects, weights: npt.NDArray[np.float64], usual: Outputs) -> Outputs:
    """Returns the mean difference in each bin, (bins, outputs); the usual one in an empty bin."""
    own = weights[local.rows]
    bins = local.points - 1
    counts = np.bincount(local.bins, own, bins)[:, None]
    sums = np.stack(
        [np.bincount(local.bins, own * each, bins) for each in local.differences.T], axis=1
    )
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), usual))


def _centred(local: _LocalEffects, means: Outputs, weights: npt.NDArray[np.float64]) -> Outputs:
    curve = np.concatenate([np.zeros((1, means.shape[1])), np.cumsum(means, axis=0)])
    of_rows = curve[local.sides].mean(axis=0)
    return np.asarray(curve - weights @ of_rows / weights.sum())

"""How the outputs depend on one column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.accumulated import AccumulatedEffect, accumulated_effect
from services.analyzer.domain.relations.columns import RankedColumn
from services.analyzer.domain.relations.dependence import Dependence, dependence
from services.analyzer.domain.relations.grid import GRID_POINTS, Grid, grid_of
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.subject import Subject

_BINS = 30
_LARGEST_WHOLE = 1e9
_DEPENDENCE_ROWS, _LEAST_DEPENDENCE_ROWS = 1000, 50
_EFFECT_ROWS, _LEAST_EFFECT_ROWS = 5000, 200
_PREDICTIONS_A_ROW = 3


@dataclass(frozen=True)
class Distribution:
    """How many rows have which value.

    Attributes:
        counts: Rows in each bin, or with each label of the grid.
        edges: Of the bins, from the first to the last point of the grid; empty for labels.
    """

    counts: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Relation:
    """How the shown outputs depend on a column.

    Attributes:
        name: Of the column.
        importance: See `RankedColumn`.
        grid: Values that it was set to.
        dependence: Partial dependence, and single rows.
        effect: Accumulated local effects; None where there are none.
        distribution: Of the data over the grid.
    """

    name: str
    importance: float
    grid: Grid
    dependence: Dependence
    effect: AccumulatedEffect | None
    distribution: Distribution

    def best_curve(self, output: int) -> Outputs:
        """Returns accumulated effects of an output, where there are none partial dependence."""
        if self.effect is None:
            return np.asarray(self.dependence.mean[:, output])
        return np.asarray(self.effect.effect[:, output])

    def spread(self, output: int) -> float:
        """Returns how far an output moves over the column."""
        return float(np.ptp(self.best_curve(output)))


def relations(
    columns: Sequence[RankedColumn], subject: Subject, prober: Prober, budget: Budget
) -> tuple[tuple[Relation, ...], tuple[str, ...]]:
    """Returns the relations of columns, and what was cut short. The first is there in any case."""
    seed, row = subject.settings.seed, prober.seconds_per_row
    wanted = min(subject.sample.count, _DEPENDENCE_ROWS)
    rows = budget.share(0.7).affords(
        wanted, row * GRID_POINTS * len(columns), _LEAST_DEPENDENCE_ROWS
    )
    effect_rows = budget.share(0.3).affords(
        _EFFECT_ROWS, row * _PREDICTIONS_A_ROW * len(columns), _LEAST_EFFECT_ROWS
    )
    raw = subject.sample.drawn(rows, seed).raw
    effect_raw = subject.sample.drawn(effect_rows, seed).raw
    found: list[Relation] = []
    for each in columns:
        if found and budget.is_spent:
            break
        values = subject.sample.raw.columns[each.name]
        grid = grid_of(each.column, values)
        relation = Relation(
            name=each.name,
            importance=each.importance,
            grid=grid,
            dependence=dependence(raw, each.column, grid, prober),
            effect=accumulated_effect(effect_raw, each.column, grid, prober, seed),
            distribution=_distribution(values, grid),
        )
        found.append(relation)
    return tuple(found), tuple(_cut_short(rows, wanted, len(found), len(columns)))


def _cut_short(rows: int, wanted: int, found: int, columns: int) -> list[str]:
    notes = []
    if rows < wanted:
        notes.append(f"Partial dependence is over {rows:,} rows: there was no time for {wanted:,}.")
    if found < columns:
        notes.append(f"There was time for {found} of {columns} columns.")
    return notes


def _distribution(values: Values, grid: Grid) -> Distribution:
    if not grid.is_numeric:
        rows = [(values == code).sum() for code in grid.values]
        return Distribution(np.array(rows, np.int64), np.array([]))
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    edges = _edges(numbers, float(grid.places[0]), float(grid.places[-1]))
    return Distribution(np.histogram(numbers, edges)[0].astype(np.int64), edges)


def _edges(numbers: Outputs, low: float, high: float) -> Outputs:
    """Returns edges of bins; of whole numbers each bin holds equally many."""
    if high - low > _LARGEST_WHOLE or (numbers != np.round(numbers)).any():
        return np.linspace(low, high, _BINS + 1)
    width = np.ceil((high - low + 1) / _BINS)
    return np.asarray(np.arange(low - 0.5, high + 0.5 + width, width))

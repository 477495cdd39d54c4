"""Interactions of pairs: the H statistic, and partial dependence on two columns.

Friedman and Popescu, Predictive learning via rule ensembles, 2008.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.columns import RankedColumn
from services.analyzer.domain.relations.grid import Grid, grid_of
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.subject import Subject

SURFACES = 3
_MOST_COLUMNS, _MOST_ROWS, _FEW_ROWS, _LEAST_ROWS = 8, 60, 30, 15
_SURFACE_POINTS, _SURFACE_TAIL = 12, 0.05
_SURFACE_ROWS, _LEAST_SURFACE_ROWS = 200, 20
_PAIRS_TOGETHER = 7
_NOTHING = 1e-9

Pair = tuple[RankedColumn, RankedColumn]


@dataclass(frozen=True)
class Surface:
    """Partial dependence of the main output on two columns.

    Attributes:
        grids: Their values.
        mean: (points of the first, points of the second).
        interaction: What is left of it without the two columns' own partial dependence, alike.
    """

    grids: tuple[Grid, Grid]
    mean: Outputs
    interaction: Outputs


@dataclass(frozen=True)
class Interaction:
    """How far two columns act together on the main output.

    Attributes:
        names: The columns.
        strength: Standard deviation of the part of their joint partial dependence that is not the
            sum of their own ones, in the output's units.
        h: That part's share of the joint one, 0 to about 1 (the square root of Friedman's H²); None
            where the two together change nothing.
        surface: Of the strongest pairs.
    """

    names: tuple[str, str]
    strength: float
    h: float | None
    surface: Surface | None = None


@dataclass(frozen=True)
class Interactions:
    """Interactions.

    Attributes:
        pairs: The strongest first.
        rows: Rows that they were estimated on.
        notes: What was cut short.
    """

    pairs: tuple[Interaction, ...]
    rows: int = 0
    notes: tuple[str, ...] = field(default=())


def interactions(
    columns: Sequence[RankedColumn], subject: Subject, prober: Prober, budget: Budget
) -> Interactions:
    """Returns the interactions of the most important columns' pairs, on the main output.

    Args:
        columns: The most important first.
        subject: What is analysed.
        prober: Asks the model.
        budget: Decides on rows and columns.
    """
    first = _affordable(columns[:_MOST_COLUMNS], prober, budget.share(0.6))
    if first is None:
        return Interactions(())
    tried, rows = first
    raw = subject.sample.drawn(rows, subject.settings.seed).raw
    statistics = _HStatistics(raw, prober, float(subject.outputs[:, prober.outputs[0]].var()))
    pairs = list(combinations(tried, 2))
    found: list[Interaction] = []
    for start in range(0, len(pairs), _PAIRS_TOGETHER):
        if start and budget.is_spent:
            break
        found += statistics.of(pairs[start : start + _PAIRS_TOGETHER])
    notes = _notes(len(tried), min(len(columns), _MOST_COLUMNS), raw.count, subject)
    if len(found) < len(pairs):
        notes = (*notes, f"There was time for {len(found)} of {len(pairs)} pairs of columns.")
    order = sorted(range(len(found)), key=lambda place: -found[place].strength)
    best = [place for place in order if found[place].strength > 0][:SURFACES]
    for left, place in enumerate(best):
        share = budget.share(1 / (len(best) - left))
        surface = _surface(pairs[place], subject, prober, share)
        each = found[place]
        found[place] = Interaction(each.names, each.strength, each.h, surface)
    return Interactions(tuple(found[place] for place in order), raw.count, notes)


def _affordable(
    columns: Sequence[RankedColumn], prober: Prober, budget: Budget
) -> tuple[Sequence[RankedColumn], int] | None:
    """Returns so many columns, and rows, that the time is enough for all their pairs."""
    for count in range(len(columns), 1, -1):
        evaluations = count + math.comb(count, 2)
        squared = budget.affords(
            _MOST_ROWS**2, prober.seconds_per_row * evaluations, _LEAST_ROWS**2
        )
        rows = math.isqrt(squared)
        if rows >= _FEW_ROWS or count == 2:
            return columns[:count], rows
    return None


def _notes(tried: int, wanted: int, rows: int, subject: Subject) -> tuple[str, ...]:
    short = tried < wanted or rows < min(_MOST_ROWS, subject.sample.count)
    if not short:
        return ()
    return (
        f"Interactions were looked for on {rows} rows among {tried} columns: there was no time "
        "for more.",
    )


class _HStatistics:
    """H statistics of pairs; what one column does alone is computed once."""

    def __init__(self, raw: RawRows, prober: Prober, variance: float) -> None:
        """Computes nothing yet.

        Args:
            raw: Rows that it is evaluated at and averaged over.
            prober: Asks the model.
            variance: Of the main output: what is far below it counts as nothing.
        """
        self._raw = raw
        self._prober = prober
        self._nothing = _NOTHING * variance
        self._alone: dict[str, Outputs] = {}

    def of(self, pairs: Sequence[Pair]) -> list[Interaction]:
        """Returns the interactions of some pairs."""
        names = [(first.name, second.name) for first, second in pairs]
        single = dict.fromkeys(name for pair in names for name in pair if name not in self._alone)
        found = self._centred([*((name,) for name in single), *names])
        self._alone.update(zip(single, found, strict=False))
        return [
            self._interaction(first, second, joint)
            for (first, second), joint in zip(names, found[len(single) :], strict=True)
        ]

    def _interaction(self, first: str, second: str, joint: Outputs) -> Interaction:
        left = joint - self._alone[first] - self._alone[second]
        whole, part = float((joint**2).mean()), float((left**2).mean())
        if whole <= self._nothing:
            return Interaction((first, second), 0.0, None)
        part = part if part > self._nothing else 0.0
        return Interaction((first, second), math.sqrt(part), math.sqrt(part / whole))

    def _centred(self, subsets: Sequence[tuple[str, ...]]) -> list[Outputs]:
        """Returns partial dependence on sets of columns at every row, (rows,), with the mean 0."""
        settings = [{name: self._raw.columns[name] for name in names} for names in subsets]
        means = [_mean(each) for each in self._prober.grids(self._raw, settings)]
        return [each - each.mean() for each in means]


def _surface(pair: Pair, subject: Subject, prober: Prober, budget: Budget) -> Surface:
    grids = [
        grid_of(each.column, subject.sample.raw.columns[each.name], _SURFACE_POINTS, _SURFACE_TAIL)
        for each in pair
    ]
    first, second = grids
    points = len(first) * len(second) + len(first) + len(second)
    rows = budget.affords(_SURFACE_ROWS, prober.seconds_per_row * points, _LEAST_SURFACE_ROWS)
    raw = subject.sample.drawn(rows, subject.settings.seed).raw
    values = {
        pair[0].name: np.repeat(first.values, len(second)),
        pair[1].name: np.tile(second.values, len(first)),
    }
    alone = [{each.name: grid.values} for each, grid in zip(pair, grids, strict=True)]
    joint, *single = (_mean(each) for each in prober.grids(raw, [values, *alone]))
    mean = joint.reshape(len(first), len(second))
    whole = float(prober.predict(raw)[:, 0].mean())
    return Surface((first, second), mean, mean - single[0][:, None] - single[1] + whole)


def _mean(found: Outputs) -> Outputs:
    """Returns the main output's mean at each point, of (points, rows, outputs)."""
    return np.asarray(found[:, :, 0].mean(axis=1))

"""What would be predicted for a row if its columns had other values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Column
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.columns import RankedColumn
from services.analyzer.domain.relations.examples import Example, examples
from services.analyzer.domain.relations.grid import Grid, grid_of, is_missing
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.relations.targets import Decision, outputs_of_row
from services.analyzer.domain.subject import Subject

MOST_COLUMNS = 20
_POINTS, _LEAST_POINTS = 100, 10
_PAIRED_COLUMNS, _PAIR_POINTS = 6, 15
_LABEL_COST = 1.0

Costs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnValue:
    """A value of a column: a number or a label; neither where it is missing."""

    number: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Change:
    """Other values of one or two columns that give another prediction.

    Attributes:
        columns: Their names.
        values: What they are changed to.
        size: Of numbers the change in standard deviations of the column, of labels 1 each; None
            where a value was missing or infinite.
        prediction: What is predicted then.
    """

    columns: tuple[str, ...]
    values: tuple[ColumnValue, ...]
    size: float | None
    prediction: str


@dataclass(frozen=True)
class Response:
    """What a row's outputs do over one column.

    Attributes:
        column: Its name.
        value: The row's own.
        grid: Values that were tried.
        outputs: At each, (points, all outputs).
        change: The smallest that gives another prediction; None if there is none.
    """

    column: str
    value: ColumnValue
    grid: Grid
    outputs: Outputs
    change: Change | None


@dataclass(frozen=True)
class ShownRow:
    """A row with its responses.

    Attributes:
        number: In the data set version.
        why: Why it was chosen.
        now: Its outputs.
        prediction: What they come to.
        responses: By column.
    """

    number: int
    why: str
    now: Outputs
    prediction: str
    responses: tuple[Response, ...]


@dataclass(frozen=True)
class WhatIf:
    """What-if for one row, and for examples beside it.

    Attributes:
        row: The row.
        outputs: Places of the outputs that are shown for it, the main one first.
        pair: The smallest change of two columns, where no change of one gives another prediction.
        pairs: How many pairs of columns were tried for that.
        step: Of values: a change by so much counts as another prediction.
        examples: Other rows, with responses to the columns that are shown.
    """

    row: ShownRow
    outputs: tuple[int, ...]
    pair: Change | None
    pairs: int
    step: float | None
    examples: tuple[ShownRow, ...]


def what_if(
    example: Example,
    columns: Sequence[RankedColumn],
    shown: int,
    subject: Subject,
    prober: Prober,
    budget: Budget,
) -> WhatIf:
    """Returns what happens to a row.

    Args:
        example: The row.
        columns: Columns to change; the first ones are also changed in the examples.
        shown: Number of these.
        subject: What is analysed.
        prober: Knows how long the model takes.
        budget: Decides how many values are tried.
    """
    asker = _Asker(subject, budget, prober.seconds_per_row * len(columns))
    row = asker.row(example, columns)
    pair, pairs = None, 0
    if all(each.change is None for each in row.responses):
        pair, pairs = asker.pair(example, columns[:_PAIRED_COLUMNS])
    others = []
    for other in examples(subject, example.place):
        if budget.is_spent:
            break
        others.append(asker.row(other, columns[:shown]))
    return WhatIf(
        row,
        outputs_of_row(subject, row.now),
        pair,
        pairs,
        asker.decision.step or None,
        tuple(others),
    )


class _Asker:
    """Changes columns of single rows."""

    def __init__(self, subject: Subject, budget: Budget, seconds_each: float) -> None:
        self.decision = Decision.of(subject)
        self._subject = subject
        self._budget = budget
        self._points = budget.share(0.5).affords(_POINTS, seconds_each, _LEAST_POINTS)
        self._prober = Prober(subject, range(subject.outputs.shape[1]), budget)

    def row(self, example: Example, columns: Sequence[RankedColumn]) -> ShownRow:
        now = self._subject.outputs[example.place]
        raw = self._raw(example)
        return ShownRow(
            number=int(self._subject.sample.numbers[example.place]),
            why=example.why,
            now=now,
            prediction=self.decision.told(now),
            responses=self._responses(raw, [each.column for each in columns], now),
        )

    def pair(self, example: Example, columns: Sequence[RankedColumn]) -> tuple[Change | None, int]:
        """Returns the smallest change of two columns together, and how many pairs were tried."""
        raw, now = self._raw(example), self._subject.outputs[example.place]
        best: Change | None = None
        tried = 0
        for first, second in combinations([each.column for each in columns], 2):
            if self._budget.is_spent:
                break
            found = self._pair_change(raw, (first, second), now)
            tried += 1
            if found is not None and _size(found) < _size(best):
                best = found
        return best, tried

    def _raw(self, example: Example) -> RawRows:
        return self._subject.sample.raw.take(slice(example.place, example.place + 1))

    def _values(self, column: Column) -> Values:
        return self._subject.sample.raw.columns[column.name]

    def _responses(
        self, raw: RawRows, columns: Sequence[Column], now: Outputs
    ) -> tuple[Response, ...]:
        grids = [self._grid(raw, each) for each in columns]
        settings = [{each.name: grid.values} for each, grid in zip(columns, grids, strict=True)]
        found = self._prober.grids(raw, settings)
        return tuple(
            self._response(raw, column, grid, outputs[:, 0], now)
            for column, grid, outputs in zip(columns, grids, found, strict=True)
        )

    def _grid(self, raw: RawRows, column: Column) -> Grid:
        """Returns values to try, the row's own number among them, so that it is on the curve."""
        grid = grid_of(column, self._values(column), self._points, tail=0.0)
        own = raw.columns[column.name].astype(np.float64)
        if not grid.is_numeric or not np.isfinite(own[0]):
            return grid
        return Grid(np.union1d(grid.values, own))

    def _response(
        self, raw: RawRows, column: Column, grid: Grid, found: Outputs, now: Outputs
    ) -> Response:
        own = raw.columns[column.name]
        costs = _costs(column, self._values(column), own, grid)
        place = self._smallest(found, costs, now)
        change = None
        if place is not None:
            change = Change(
                (column.name,),
                (value_of(grid, place),),
                float(costs[place]) if _is_there(column, own) else None,
                self.decision.told(found[place]),
            )
        return Response(column.name, _own_value(column, own), grid, found, change)

    def _pair_change(
        self, raw: RawRows, pair: tuple[Column, Column], now: Outputs
    ) -> Change | None:
        grids = [grid_of(each, self._values(each), _PAIR_POINTS, tail=0.0) for each in pair]
        places = np.indices([len(grid) for grid in grids]).reshape(2, -1)
        owns = [raw.columns[each.name] for each in pair]
        costs = sum(
            _costs(column, self._values(column), own, grid)[at]
            for column, own, grid, at in zip(pair, owns, grids, places, strict=True)
        )
        values = {
            each.name: grid.values[at] for each, grid, at in zip(pair, grids, places, strict=True)
        }
        found = self._prober.grid(raw, values)[:, 0]
        place = self._smallest(found, np.asarray(costs), now)
        if place is None:
            return None
        are_there = all(_is_there(*each) for each in zip(pair, owns, strict=True))
        return Change(
            (pair[0].name, pair[1].name),
            tuple(value_of(grid, at[place]) for grid, at in zip(grids, places, strict=True)),
            float(np.asarray(costs)[place]) if are_there else None,
            self.decision.told(found[place]),
        )

    def _smallest(self, found: Outputs, costs: Costs, now: Outputs) -> int | None:
        """Returns the place of the smallest change to another prediction.

        Of equally small ones, such as labels, that which moves the outputs most.
        """
        flips = np.flatnonzero(self.decision.differs(found, now))
        if not len(flips):
            return None
        moved = np.abs(found[flips] - now).sum(axis=1)
        return int(flips[np.lexsort((-moved, costs[flips]))[0]])


def value_of(grid: Grid, place: int) -> ColumnValue:
    """Returns a value of a grid."""
    if grid.is_numeric:
        return ColumnValue(float(grid.values[place]))
    return ColumnValue(label=grid.labels[place])


def _own_value(column: Column, own: Values) -> ColumnValue:
    if is_missing(column, own).any():
        return ColumnValue()
    if column.labels:
        return ColumnValue(label=column.labels[int(own[0])])
    return ColumnValue(float(own[0]) if np.isfinite(own[0]) else None)


def _is_there(column: Column, own: Values) -> bool:
    """Whether a row has a value that others have a distance from."""
    return not is_missing(column, own).any() and bool(np.isfinite(own.astype(np.float64)).all())


def _costs(column: Column, values: Values, own: Values, grid: Grid) -> Costs:
    """Returns the sizes of changes to the values of a grid, (points,), in standard deviations.

    They are from the median where the row's own value is missing or infinite.
    """
    if not grid.is_numeric:
        return np.where(grid.values == own[0], 0.0, _LABEL_COST)
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    start = float(own[0]) if _is_there(column, own) else np.median(numbers)
    return np.asarray(np.abs(grid.places - start) / (numbers.std() or 1.0))


def _size(change: Change | None) -> float:
    if change is None:
        return np.inf
    return np.finfo(float).max if change.size is None else change.size

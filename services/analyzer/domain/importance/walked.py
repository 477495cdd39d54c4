"""Outputs for rows with exchanged values, by walking again through a part of the trees."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.importance.fed import Fed, Item
from services.analyzer.domain.importance.forest import Forest, forest_of
from services.analyzer.domain.importance.plan import Exchanged, Job, Plan, Positions
from services.analyzer.domain.importance.tables import Table, table_of
from services.analyzer.domain.importance.walking import walk
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.models.model import Outputs

Matrix = npt.NDArray[np.float64]

_BYTES = 1 << 25
_ROWS = (256, 8192)
_TRIED = 256
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Walking:
    """The way of ensembles of trees; see `Way`.

    Attributes:
        forest: The trees.
        table: The rows as they are compared, (rows, features).
        features: The feature of each item, by its name.
    """

    forest: Forest
    table: Matrix
    features: Mapping[str, int]

    @cached_property
    def seconds_each(self) -> float:
        """See `Way`."""
        some = np.arange(min(_TRIED, len(self.table)))
        orders = some[::-1][None]
        features = list(self.features.values())
        _walked(self.forest, self.table, features, some, orders)  # compiles
        start = time.perf_counter()
        _walked(self.forest, self.table, features, some, orders)
        return (time.perf_counter() - start) / len(some) / len(features)

    def jobs(self, items: Sequence[Item], plan: Plan) -> Iterator[Job]:
        """See `Way`."""
        table = self.table[plan.rows] if plan.is_cut else self.table
        features = [self.features[each.name] for each in items]
        each = len(items) * plan.repeats * len(self.forest.start) * 8
        step = int(np.clip(_BYTES // each, *_ROWS))
        for start in range(0, len(table), step):
            rows = np.arange(start, min(start + step, len(table)))
            yield partial(_exchanged, self.forest, table, features, rows, plan.orders[:, rows])


def walking(rows: Fed, items: Sequence[Item], outputs: Outputs) -> Walking | None:
    """Returns the way of trees, where a model is such and takes each item as one number.

    Args:
        rows: All rows of the sample.
        items: What will be exchanged.
        outputs: The model's for these rows: those of the trees must be the same.
    """
    model = rows.model
    if not isinstance(model, SklearnAnalysed):
        return None
    forest = forest_of(model.model.estimator)
    numbers = table_of(rows)
    features = None if numbers is None else _features(numbers, items)
    if forest is None or numbers is None or features is None:
        return None
    table = numbers.values.astype(forest.precision).astype(np.float64)
    some = np.arange(min(_TRIED, len(table)))
    sums, _ = _walked(forest, table, [], some, some[None])
    found = forest.finished(sums).reshape(len(some), -1)
    fits = found.shape == outputs[some].shape and np.allclose(
        found, outputs[some], rtol=_TOLERANCE, atol=_TOLERANCE
    )
    return Walking(forest, table, features) if fits else None


def _features(table: Table, items: Sequence[Item]) -> dict[str, int] | None:
    """Returns the feature of each item; None where one is of several."""
    found = {}
    for item in items:
        columns = [table.columns_of(place) for place in item.places]
        if sum(each.stop - each.start for each in columns) != 1:
            return None
        found[item.name] = columns[0].start
    return found


def _walked(
    forest: Forest, table: Matrix, features: Sequence[int], rows: Positions, orders: Positions
) -> tuple[Outputs, npt.NDArray[np.float64]]:
    """Returns sums of the trees for rows, and what other values add to them; see `walk`."""
    slots = np.full(table.shape[1], -1, np.int32)
    slots[list(features)] = np.arange(len(features))
    sums = np.tile(forest.start, (len(rows), 1))
    changes = np.zeros((len(features), *orders.shape, len(forest.start)))
    trees = (forest.nodes, forest.values, forest.roots, forest.targets)
    walk(*trees, slots, table[rows], table[orders], sums, changes)
    return sums, changes


def _exchanged(
    forest: Forest, table: Matrix, features: Sequence[int], rows: Positions, orders: Positions
) -> Iterator[Exchanged]:
    sums, changes = _walked(forest, table, features, rows, orders)
    for item, change in enumerate(changes):
        repeats, which = np.nonzero(change.any(axis=2))
        if len(which):
            outputs = forest.finished(sums[which] + change[repeats, which])
            shaped = outputs.reshape(len(which), -1)
            yield Exchanged(item, rows[which], orders[repeats, which], shaped)

"""Outputs for rows with exchanged values, by the model itself."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import Fed, Inputs, Item, Place
from services.analyzer.domain.importance.plan import Exchanged, Job, Plan, Positions
from services.analyzer.domain.subject import Subject

_BATCHES = (32_768, 131_072)
_BATCH_BYTES = 32 << 20
_BATCH_SECONDS = 0.5
_TIMED_SHARE = 0.05
_COMPARED = 256
_NEARLY_ALL = 0.8


class Predicting:
    """The way of every model; see `Way`."""

    def __init__(self, rows: Fed, subject: Subject, budget: Budget) -> None:
        """Predicts nothing yet.

        Args:
            rows: All rows of the sample.
            subject: What is analysed.
            budget: What measuring the time is small against.
        """
        self._rows = rows
        self._subject, self._budget = subject, budget

    @cached_property
    def seconds_each(self) -> float:
        """See `Way`."""
        return self._timed[1]

    @property
    def _batch(self) -> int:
        return self._timed[0]

    @cached_property
    def _timed(self) -> tuple[int, float]:
        """How many rows at once are quickest, and the seconds of one of them.

        A call is dear for few rows; what does not fit into a processor's cache is dear too. Memory
        and the wait for a stop bound the rows.
        """
        count = self._subject.sample.count
        row_bytes = sum(each[:1].nbytes for each in self._rows.inputs.values())
        expected = self._subject.seconds_per_row
        seconds = min(_BATCH_SECONDS, _TIMED_SHARE / len(_BATCHES) * self._budget.left)
        most = int(min(_BATCH_BYTES / max(row_bytes, 1), seconds / max(expected, 1e-9)))
        sizes = {min(count, max(_COMPARED, min(most, each))) for each in _BATCHES}
        return min(((each, self._seconds(each)) for each in sizes), key=lambda timed: timed[1])

    def _seconds(self, count: int) -> float:
        """Returns what one of so many rows takes."""
        some = self._rows.take(slice(0, count))
        start = time.perf_counter()
        self._rows.predict(some.inputs)
        return (time.perf_counter() - start) / count

    def jobs(self, items: Sequence[Item], plan: Plan) -> Iterator[Job]:
        """See `Way`."""
        rows = self._rows.take(plan.rows) if plan.is_cut else self._rows
        for number, item in enumerate(items):
            # Gathering from a column alone is quicker than from a matrix.
            own = [(place, np.ascontiguousarray(read(rows.inputs, place))) for place in item.places]
            for order in plan.orders:
                for start in range(0, len(order), self._batch):
                    batch = slice(start, start + self._batch)
                    yield partial(_exchanged, rows, number, own, order, batch)


def _exchanged(
    fed: Fed,
    number: int,
    own: Sequence[tuple[Place, Values]],
    order: Positions,
    batch: slice,
) -> Iterator[Exchanged]:
    givers = order[batch]
    rows = np.arange(batch.start, batch.start + len(givers))
    old = fed.take(batch).inputs
    new = [(place, values[givers]) for place, values in own]
    changed = _changed(old, new)
    if changed is not None:
        rows, givers = rows[changed], givers[changed]
        old = {name: each[changed] for name, each in old.items()}
        new = [(place, values[changed]) for place, values in new]
    if len(rows):
        yield Exchanged(number, rows, givers, fed.predict(replaced(old, new)))


def _changed(old: Inputs, new: Sequence[tuple[Place, Values]]) -> npt.NDArray[np.bool_] | None:
    """Returns in which rows something differs; None where nearly all do, as the first ones say."""
    for count in (_COMPARED, None):
        changed = np.logical_or.reduce(
            [differs(read(old, place)[:count], values[:count]) for place, values in new]
        )
        if changed.mean() >= _NEARLY_ALL:
            return None
    return np.asarray(changed)


def read(inputs: Inputs, place: Place) -> Values:
    """Returns the values at a place."""
    values = inputs[place.input]
    return values if place.columns is None else values[:, place.columns]


def replaced(inputs: Inputs, new: Sequence[tuple[Place, Values]]) -> Inputs:
    """Returns inputs with other values at some places."""
    found = dict(inputs)
    for place, values in new:
        if place.columns is None:
            found[place.input] = values
            continue
        if found[place.input] is inputs[place.input]:
            found[place.input] = inputs[place.input].copy()
        found[place.input][:, place.columns] = values
    return found


def differs(values: Values, others: Values) -> npt.NDArray[np.bool_]:
    """Returns in which rows values differ; missing ones are alike."""
    different = np.asarray(values != others, np.bool_)
    if values.dtype.kind == "f":
        different &= ~(np.isnan(values) & np.isnan(others))
    return np.asarray(np.logical_or.reduce(different.reshape(len(values), -1).T))

"""Permutation importance (Breiman, 2001; Fisher and others, 2019), with intervals."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import ColumnType
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.threads import mapped
from services.analyzer.domain.metrics import RowScores
from services.analyzer.domain.part import NotApplicableError
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]
Columns = Mapping[str, Values]
Given = Callable[[Columns, Columns], Columns]
"""Takes columns of rows and of as many others; returns them with values of the others."""

REPEATS = 5
_FEWEST_REPEATS = 2
_FEWEST_ROWS = 100
_BATCH = 32_768
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Permutable:
    """What is permuted together.

    Attributes:
        name: A column's, or a lag's.
        columns: The raw columns that it is of.
        given: See `Given`; it gets these columns.
    """

    name: str
    columns: tuple[str, ...]
    given: Given


@dataclass(frozen=True)
class Importance:
    """How far the metric falls when values are permuted, with a 95 % confidence interval.

    Attributes:
        name: Of the column or lag.
        mean: Fall of the mean row score over all repeats; below 0 where chance made it rise. For a
            loss it is how far the loss rises.
        low: Of the interval.
        high: Of the interval.
    """

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PermutationImportance:
    """Importance of each of several columns or lags.

    Attributes:
        items: In the order in which they were asked for; for columns, of the model's features.
        rows: Rows of the sample that were used.
        repeats: How often each was permuted.
        notes: What the budget cut short, one sentence each.
    """

    items: tuple[Importance, ...]
    rows: int
    repeats: int
    notes: tuple[str, ...] = ()


def permutation_importance(
    subject: Subject,
    budget: Budget,
    repeats: int = REPEATS,
    columns: Sequence[str] | None = None,
) -> PermutationImportance:
    """Returns how far the metric falls when each column is permuted.

    Rows that keep their value need no new prediction.

    The interval is of rows and repeats together. The importance is a mean over pairs of rows, one
    that is predicted and one that gives it a value. Each row's influence on it is what it lost as
    the first, plus what others lost by its value; both are means over the repeats, so that the
    noise of few repeats is in them. The interval is that of the mean of independent influences.

    Args:
        subject: What is analysed.
        budget: For all columns; few rows or repeats are used where it is small.
        repeats: How often each column is permuted.
        columns: Which. Default: the model's features but images.

    Raises:
        NotApplicableError: The data has no target, there are less than 2 rows, or no columns.
        UnusableModelError: The model gives no numbers.
    """
    names = permutable_columns(subject) if columns is None else tuple(columns)
    return importance_of(subject, budget, [column_of(name) for name in names], repeats)


def permutable_columns(subject: Subject) -> tuple[str, ...]:
    """Returns the model's features that are not images, in order."""
    known = subject.sample.columns
    return tuple(
        name
        for name in subject.model.features
        if name in known and known[name].type is not ColumnType.IMAGE
    )


def column_of(name: str) -> Permutable:
    """Returns a column, to be permuted as a whole."""
    return Permutable(name, (name,), lambda rows, others: others)


def importance_of(
    subject: Subject, budget: Budget, items: Sequence[Permutable], repeats: int = REPEATS
) -> PermutationImportance:
    """Returns how far the metric falls when each item is permuted; see `permutation_importance`."""
    if not items:
        raise NotApplicableError("The model takes no columns that can be permuted.")
    if subject.sample.count < 2:
        raise NotApplicableError("Permuting takes at least 2 rows.")
    plan = _planned(subject, budget, len(items), repeats, subject.seconds_per_row)
    found = []
    for item in items:
        budget.check()
        found.append(_importance(subject, plan, item))
    return PermutationImportance(tuple(found), len(plan.rows), len(plan.orders), plan.notes)


@dataclass(frozen=True)
class _Plan:
    """Which rows get values of which.

    Attributes:
        rows: Positions in the sample, ascending.
        orders: For each repeat the positions in the sample that give values to `rows`.
        notes: What was cut short.
    """

    rows: Positions
    orders: tuple[Positions, ...]
    notes: tuple[str, ...]


def _planned(
    subject: Subject, budget: Budget, items: int, repeats: int, seconds_each: float
) -> _Plan:
    """Cuts repeats first, then rows, until the budget will do."""
    count = subject.sample.count
    pairs = budget.affords(items * repeats * count, seconds_each)
    used = min(repeats, max(_FEWEST_REPEATS, pairs // (items * count)))
    rows = min(count, max(_FEWEST_ROWS, pairs // (items * used)))
    generator = np.random.default_rng(subject.settings.seed)
    chosen = np.sort(generator.choice(count, rows, replace=False))
    orders = tuple(generator.permutation(chosen) for _ in range(used))
    notes = []
    if (rows, used) != (count, repeats):
        notes.append(
            f"For the budget, permutation used {rows:,} of {count:,} rows and {used} of {repeats} "
            "repeats."
        )
    return _Plan(chosen, orders, tuple(notes))


def _importance(subject: Subject, plan: _Plan, item: Permutable) -> Importance:
    raw, count = subject.sample.raw, subject.sample.count
    own = {name: raw.columns[name] for name in item.columns}
    base = subject.row_scores
    received, gave = np.zeros(count), np.zeros(count)

    def fall(pair: tuple[Positions, Positions]) -> tuple[Positions, Positions, RowScores]:
        old, others = (_taken(own, each) for each in pair)
        new = item.given(old, others)
        changed = np.flatnonzero(np.any([differs(old[each], new[each]) for each in own], axis=0))
        rows, giving = (each[changed] for each in pair)
        if not len(rows):
            return rows, giving, np.zeros(0)
        columns = {**raw.take(rows).columns, **_taken(new, changed)}
        outputs = subject.predict(RawRows(columns, raw.labels))
        return rows, giving, base[rows] - subject.scorer.rows(outputs, rows)

    for rows, giving, lost in mapped(subject.model, fall, _batches(plan)):
        received += np.bincount(rows, lost, count)
        gave += np.bincount(giving, lost, count)
    return estimated(item.name, received[plan.rows], gave[plan.rows], len(plan.orders))


def _taken(columns: Columns, rows: Positions) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def differs(values: Values, others: Values) -> npt.NDArray[np.bool_]:
    """Returns in which rows values differ; missing ones are alike."""
    different = np.asarray(values != others)
    if values.dtype.kind == "f":
        different &= ~(np.isnan(values) & np.isnan(others))
    return np.asarray(different.reshape(len(values), -1).any(axis=1))


def _batches(plan: _Plan) -> Iterator[tuple[Positions, Positions]]:
    """Yields positions of rows with those that give them values."""
    rows, others = np.tile(plan.rows, len(plan.orders)), np.concatenate(plan.orders)
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH], others[start : start + _BATCH]


def estimated(name: str, received: RowScores, gave: RowScores, repeats: int) -> Importance:
    """Returns the importance with its interval.

    Args:
        name: Of the column or lag.
        received: What each row lost by values of others, summed over the repeats, (rows,).
        gave: What others lost by its value, (rows,).
        repeats: How many there were.
    """
    mean = float(received.mean()) / repeats
    spread = float((received + gave).std(ddof=1)) / repeats
    half = _Z95 * spread / math.sqrt(len(received))
    return Importance(name, mean, mean - half, mean + half)

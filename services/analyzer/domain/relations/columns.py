"""Which columns are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.data.schema import Column, ColumnType
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.relations.grid import grid_of
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject

MOST_COLUMNS = 8
_RANKED_ROWS, _LEAST_ROWS = 300, 20
_RANKED_TOGETHER = 10
_MOST_NAMED = 20
_TYPES = frozenset({ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN})


@dataclass(frozen=True)
class RankedColumn:
    """A column.

    Attributes:
        column: What it is.
        importance: Mean absolute change of the outputs where its values are shuffled.
    """

    column: Column
    importance: float

    @property
    def name(self) -> str:
        """Its name."""
        return self.column.name


@dataclass(frozen=True)
class ChosenColumns:
    """Columns.

    Attributes:
        shown: Those that are looked at, in the order of the page.
        all: All that can be, the most important first.
        notes: Which were left out.
    """

    shown: tuple[RankedColumn, ...]
    all: tuple[RankedColumn, ...]
    notes: tuple[str, ...]


def chosen_columns(subject: Subject, prober: Prober, budget: Budget) -> ChosenColumns:
    """Returns the columns that were asked for, else the most important ones.

    Raises:
        NotApplicableError: No column can be looked at.
        UnusableModelError: A column was asked for that the model does not take.
    """
    _check_asked(subject)
    usable = _usable(subject)
    varied = [each for each in usable if _varies(subject, each)]
    if not varied:
        raise NotApplicableError(
            "Every column that the model takes has one value in the rows that were looked at."
        )
    ranked, notes = _ranked(varied, subject, prober, budget)
    asked = subject.settings.features
    if not asked:
        shown = ranked[:MOST_COLUMNS]
        return ChosenColumns(shown, ranked, (*notes, *_left_out(ranked)))
    by_name = {each.name: each for each in ranked}
    shown = tuple(by_name[name] for name in dict.fromkeys(asked) if name in by_name)
    lacking = [name for name in asked if name not in by_name]
    notes = (*notes, *(_why_not(name, subject) for name in lacking))
    if not shown:
        raise NotApplicableError(" ".join(notes))
    return ChosenColumns(shown, ranked, notes)


def _check_asked(subject: Subject) -> None:
    known = subject.model.features
    for name in subject.settings.features:
        if name not in known:
            raise UnusableModelError(f"The model has no column `{name}`; it has {_named(known)}.")


def _named(names: Sequence[str]) -> str:
    left = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {left} more" if left > 0 else "")


def _usable(subject: Subject) -> list[Column]:
    known = subject.sample.columns
    columns = [known[name] for name in subject.model.features if name in known]
    usable = [each for each in columns if each.type in _TYPES]
    if not usable:
        kinds = sorted({each.type.value for each in columns})
        raise NotApplicableError(
            f"The model takes no column of numbers or labels, only {' and '.join(kinds)}."
        )
    return usable


def _varies(subject: Subject, column: Column) -> bool:
    return len(grid_of(column, subject.sample.raw.columns[column.name])) > 1


def _why_not(name: str, subject: Subject) -> str:
    column = subject.sample.columns[name]
    if column.type not in _TYPES:
        return f"The column `{name}` is {column.type.value}, not numbers or labels: left out."
    return f"The column `{name}` has one value in the rows that were looked at: left out."


def _left_out(ranked: Sequence[RankedColumn]) -> tuple[str, ...]:
    left = len(ranked) - MOST_COLUMNS
    if left <= 0:
        return ()
    return (f"The {MOST_COLUMNS} most important of {len(ranked)} columns are shown.",)


def _ranked(
    columns: Sequence[Column], subject: Subject, prober: Prober, budget: Budget
) -> tuple[tuple[RankedColumn, ...], tuple[str, ...]]:
    """Shuffles one column after the other and looks how far the outputs move."""
    seed = subject.settings.seed
    rows = budget.affords(_RANKED_ROWS, prober.seconds_per_row * len(columns), _LEAST_ROWS)
    raw = subject.sample.drawn(rows, seed).raw
    before = prober.predict(raw)
    order = np.random.default_rng(seed).permutation(raw.count)
    moved = dict.fromkeys((each.name for each in columns), 0.0)
    notes: tuple[str, ...] = ()
    for start in range(0, len(columns), _RANKED_TOGETHER):
        if start and budget.is_spent:
            notes = (f"Only {start} of {len(columns)} columns could be ranked in the time.",)
            break
        some = [each.name for each in columns[start : start + _RANKED_TOGETHER]]
        shuffled = [with_column(raw, name, raw.columns[name][order]) for name in some]
        for name, after in zip(some, prober.predict_each(shuffled), strict=True):
            moved[name] = float(np.abs(after - before).mean())
    ranked = sorted(columns, key=lambda each: -moved[each.name])
    return tuple(RankedColumn(each, moved[each.name]) for each in ranked), notes

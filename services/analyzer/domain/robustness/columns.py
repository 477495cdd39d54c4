"""The columns of a model's rows, by what can be done to them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import LABEL_TYPES, Column, ColumnType
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.series import Series, series_of
from services.analyzer.domain.subject import Subject

Mark = float | str | npt.NDArray[np.float64] | None
"""What a cell without a value is given; of a vector, at each of its places."""

_TRIED_ROWS = 16
_WORDS = {
    ColumnType.NUMERIC: "numbers",
    ColumnType.CATEGORICAL: "labels",
    ColumnType.BOOLEAN: "truth values",
    ColumnType.TEXT: "texts",
    ColumnType.EMBEDDING: "vectors",
}
_STANDS_IN = {
    ColumnType.NUMERIC: "the column's mean",
    ColumnType.CATEGORICAL: "the most frequent label",
    ColumnType.BOOLEAN: "the most frequent one",
    ColumnType.TEXT: "the empty text",
    ColumnType.EMBEDDING: "the mean of the same place",
}


@dataclass(frozen=True)
class Columns:
    """The columns that a model takes.

    Attributes:
        numbers: Numeric columns that are not part of a series, with their standard deviation.
        labelled: Categorical and boolean columns, with how many labels they have.
        texts: Text columns.
        images: Image columns.
        series: Series.
        missing: What a cell without a value is given, by column: what stands for missing, or
            where the model cannot take that, something usual.
        notes: Where something usual stands in.
    """

    numbers: Mapping[str, float]
    labelled: Mapping[str, int]
    texts: tuple[str, ...]
    images: tuple[str, ...]
    series: tuple[Series, ...]
    missing: Mapping[str, Mark]
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> tuple[str, ...]:
        """Names of the columns that are a table: numbers and labels."""
        return (*self.numbers, *self.labelled)


def columns_of(subject: Subject, budget: Budget) -> Columns:
    """Returns the columns that the model takes, and what it can take in them."""
    raw, columns = subject.sample.raw, subject.sample.columns
    taken = [columns[name] for name in subject.model.features if name in columns]
    series = tuple(series_of(subject))
    lags = {name for each in series for name in each.columns}
    missing, notes = _missing(subject, budget, taken)
    return Columns(
        numbers={
            each.name: deviation(raw.columns[each.name])
            for each in taken
            if each.type is ColumnType.NUMERIC and each.name not in lags
        },
        labelled={each.name: len(each.labels) for each in taken if each.type in LABEL_TYPES},
        texts=tuple(each.name for each in taken if each.type is ColumnType.TEXT),
        images=tuple(each.name for each in taken if each.type is ColumnType.IMAGE),
        series=series,
        missing=missing,
        notes=notes,
    )


def deviation(values: Values) -> float:
    """Returns the standard deviation of what is there; 0 of nothing."""
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers.std()) if len(numbers) else 0.0


def _missing(
    subject: Subject, budget: Budget, taken: list[Column]
) -> tuple[dict[str, Mark], tuple[str, ...]]:
    """Returns what a missing cell is given, type by type: the model is asked what it can take."""
    found: dict[str, Mark] = {}
    notes = []
    for kind, word in _WORDS.items():
        own = [each for each in taken if each.type is kind]
        if not own:
            continue
        marks = {each.name: _mark(each) for each in own}
        if not _takes(subject, budget, marks):
            marks = {each.name: _usual(each, subject.sample.raw) for each in own}
            notes.append(
                f"The model cannot take missing {word}: {_STANDS_IN[kind]} stands for "
                "what is missing."
            )
        found |= marks
    return found, tuple(notes)


def _mark(column: Column) -> Mark:
    if column.type is ColumnType.TEXT:
        return None
    return -1 if column.type in LABEL_TYPES else np.nan


def _takes(subject: Subject, budget: Budget, marks: Mapping[str, Mark]) -> bool:
    """Whether the model takes rows in which these columns are missing."""
    raw = subject.sample.raw.take(slice(0, _TRIED_ROWS))
    emptied = {
        name: filled(raw.columns[name], mark, np.ones(raw.columns[name].shape, bool))
        for name, mark in marks.items()
    }
    try:
        subject.predict(RawRows({**raw.columns, **emptied}, raw.labels))
    except Exception:  # What models of others raise has no common root.
        budget.check()  # but where the work as a whole was stopped, this raises
        return False
    return True


def _usual(column: Column, raw: RawRows) -> Mark:
    values = raw.columns[column.name]
    if column.type is ColumnType.TEXT:
        return ""
    if column.type in LABEL_TYPES:
        codes = values.astype(np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=1)
        return int(counts.argmax())
    numbers = values.astype(np.float64)
    there = np.isfinite(numbers)
    sums = np.where(there, numbers, 0).sum(axis=0)
    return np.asarray(sums / np.maximum(1, there.sum(axis=0)))


def filled(values: Values, value: Mark, where: Values) -> Values:
    """Returns values with another one in some places.

    Args:
        values: Of a column, any type.
        value: The other one; may be one for each place of a vector.
        where: Truth values, shaped as the values.
    """
    if values.dtype.kind == "O":
        copy = values.copy()
        copy[where.astype(bool)] = value  # type: ignore[assignment]
        return copy
    if isinstance(value, int):
        return np.where(where, np.asarray(value, values.dtype), values)
    numbers = values.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    return np.where(where, np.array(value, numbers.dtype), numbers)

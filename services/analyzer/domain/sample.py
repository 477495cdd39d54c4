"""Rows that a model is looked at on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Schema

MOST_BYTES = 512 * 1024 * 1024
"""Of the rows that are looked at; fewer rows are taken where they are large."""

_TEXT_BYTES = 256

UNKNOWN_CLASS = -1
"""Truth of a row whose class the model does not know: it cannot be right there."""


@dataclass(frozen=True)
class Sample:
    """Rows with what is true of them.

    Attributes:
        raw: The rows: all columns of the data but the targets; types as `RawRows` says.
        columns: What these columns are, by name.
        numbers: Numbers of the rows in the data set version, ascending, int64 (rows,).
        truth: Classification: positions in the model's classes, int64 (rows,), -1 for a class that
            it does not know. Regression: float64 (rows,). Multi-label: bool (rows, labels). None
            where the data has no target, or these rows have no values of it.
    """

    raw: RawRows
    columns: Mapping[str, Column]
    numbers: npt.NDArray[np.int64]
    truth: Values | None

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def take(self, chosen: npt.NDArray[np.generic] | slice) -> "Sample":
        """Returns some of the rows, by position or by truth value."""
        truth = None if self.truth is None else self.truth[chosen]
        return replace(self, raw=self.raw.take(chosen), numbers=self.numbers[chosen], truth=truth)

    def drawn(self, rows: int, seed: int) -> "Sample":
        """Returns at most so many rows, drawn at random, in order."""
        if rows >= self.count:
            return self
        generator = np.random.default_rng(seed)
        return self.take(np.sort(generator.choice(self.count, rows, replace=False)))


def row_limit(schema: Schema, wanted: int) -> int:
    """Returns how many rows fit into memory, at most as many as are wanted."""
    return max(1, min(wanted, MOST_BYTES // row_bytes(schema)))


def row_bytes(schema: Schema) -> int:
    """Returns about how many bytes a row takes, at least 1."""
    return max(1, sum(_width(each) for each in schema.columns))


def _width(column: Column) -> int:
    """Returns about how many bytes a value takes."""
    if column.type is ColumnType.TEXT:
        return _TEXT_BYTES
    if column.type is ColumnType.IMAGE:
        return int(np.prod(column.shape))
    return 8 * int(np.prod(column.shape or (1,)))


def with_column(raw: RawRows, name: str, values: Values) -> RawRows:
    """Returns rows in which a column has other values; the others are not copied."""
    return RawRows({**raw.columns, name: values}, raw.labels)

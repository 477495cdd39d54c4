"""What is to be learned, from which rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.data.marks import RowMarks
from common.data.schema import Column, ColumnType
from common.scoring.arrays import Outputs, Positions, Truth
from common.scoring.kinds import ProblemKind

__all__ = ["Outputs", "Positions", "Problem", "ProblemKind", "Truth"]


@dataclass(frozen=True)
class Problem:
    """A table with what is to be learned from it.

    Attributes:
        kind: The kind.
        columns: Of the features, in order.
        features: A column for each: numbers and truth values as float64 with NaN for missing,
            times as float64 seconds since 1970 with NaN, categories and texts as objects with NaN,
            pictures as objects, bytes (see `picture_cells`); what is told of these as float64.
        truth: Positions of classes, int64 [rows]; of many labels int8 [rows, labels]; float64
            values [rows] of a regression. Nothing is missing.
        outputs: Labels of the classes or names of the labels; of a regression that of the target.
        weights: Of the rows, float64 [rows]; None where all count alike.
        groups: Rows with the same number stay on one side of every fold, int64 [rows]; None where
            each row is a group.
        level: Of a regression, the quantile that is wanted; None for the mean.
        marks: What an outlier scan says of the rows; None where none was asked for.
    """

    kind: ProblemKind
    columns: tuple[Column, ...]
    features: pd.DataFrame
    truth: Truth
    outputs: tuple[str, ...]
    weights: npt.NDArray[np.float64] | None = field(default=None)
    groups: Positions | None = field(default=None)
    level: float | None = None
    marks: RowMarks | None = None

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.truth)

    @cached_property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """Rows of each class; empty where there are no classes."""
        if not self.kind.has_classes:
            return np.zeros(0, np.int64)
        return np.bincount(self.truth.astype(np.int64), minlength=len(self.outputs))

    def names(self, *types: ColumnType) -> list[str]:
        """Returns the names of the columns of some types, in order."""
        return [column.name for column in self.columns if column.type in types]

    def take(self, rows: Positions) -> "Problem":
        """Returns the problem with some of its rows."""
        return replace(
            self,
            features=self.features.iloc[rows].reset_index(drop=True),
            truth=self.truth[rows],
            weights=None if self.weights is None else self.weights[rows],
            groups=None if self.groups is None else self.groups[rows],
            marks=None if self.marks is None else self.marks.take(rows),
        )

    def with_columns(self, names: Sequence[str]) -> "Problem":
        """Returns the problem with some of its columns."""
        wanted = set(names)
        kept = tuple(column for column in self.columns if column.name in wanted)
        return replace(self, columns=kept, features=self.features[[each.name for each in kept]])

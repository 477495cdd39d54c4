"""All prepared columns together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Rows
from services.outlier.domain.preparation.columns import (
    LabelColumn,
    NumberColumn,
    TimeColumn,
    VectorColumn,
)
from services.outlier.domain.preparation.raw import RawRows
from services.outlier.domain.preparation.texts import TextColumn

Prepared = NumberColumn | LabelColumn | TimeColumn | VectorColumn | TextColumn


@dataclass(frozen=True)
class Preparation:
    """Turns raw rows into rows that detectors take.

    Attributes:
        columns: The prepared columns, in order.
        dropped: Names of columns that say nothing: all their values are alike, or missing.
    """

    columns: tuple[Prepared, ...]
    dropped: tuple[str, ...] = ()

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """Position of the column that each feature comes from, shape (features,)."""
        widths = [column.width for column in self.columns]
        return np.repeat(np.arange(len(widths)), widths)

    def apply(self, raw: RawRows) -> Rows:
        """Returns raw rows as detectors take them.

        Args:
            raw: Rows that have at least the prepared columns.

        Raises:
            KeyError: A column is not there.
        """
        parts, coded = [], []
        for column in self.columns:
            values, labels = raw.columns[column.name], raw.labels.get(column.name, ())
            parts.append(column.features(values, labels))
            codes = column.codes(values, labels)
            if codes is not None:
                coded.append(codes)
        none = np.zeros((raw.count, 0), np.int32)
        return Rows(np.column_stack(parts), np.column_stack(coded) if coded else none)

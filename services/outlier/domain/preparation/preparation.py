"""All prepared columns together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from services.outlier.domain.detector import Rows
from services.outlier.domain.preparation.columns import (
    LabelColumn,
    NumberColumn,
    TimeColumn,
    VectorColumn,
)
from services.outlier.domain.preparation.texts import TextColumn

_MOST_ROWS = 8192
_MOST_FEATURES = 4_000_000

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
    def width(self) -> int:
        """Number of features."""
        return sum(column.width for column in self.columns)

    @property
    def rows_at_once(self) -> int:
        """How many rows are prepared and scored at once, so that they take little memory."""
        return min(_MOST_ROWS, max(1, _MOST_FEATURES // self.width))

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """Position of the column that each feature comes from, shape (features,)."""
        widths = [column.width for column in self.columns]
        return np.repeat(np.arange(len(widths)), widths)

    @property
    def code_owners(self) -> npt.NDArray[np.int64]:
        """Position of the column that each code comes from, shape (coded columns,)."""
        return np.flatnonzero([column.has_codes for column in self.columns])

    def apply(self, raw: RawRows) -> Rows:
        """Returns raw rows as detectors take them.

        Args:
            raw: Rows that have at least the prepared columns.

        Raises:
            KeyError: A column is not there.
        """
        parts, codes = [], [np.zeros((raw.count, 0), np.int32)]
        for column in self.columns:
            values, labels = raw.columns[column.name], raw.labels.get(column.name, ())
            parts.append(column.features(values, labels))
            if column.has_codes:
                codes.append(column.codes(values, labels)[:, None])
        return Rows(np.concatenate(parts, axis=1), np.concatenate(codes, axis=1))

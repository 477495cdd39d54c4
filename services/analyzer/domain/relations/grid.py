"""Values that a column is set to, one after the other."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.data.schema import Column

GRID_POINTS = 20
_TAIL = 0.01


@dataclass(frozen=True)
class Grid:
    """Some values of a column, ascending.

    Attributes:
        values: As raw columns hold them: numbers, or codes of labels.
        labels: What each stands for; empty for numbers.
    """

    values: Values
    labels: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers, not labels."""
        return not self.labels

    @property
    def places(self) -> npt.NDArray[np.float64]:
        """Where the values stand on an axis: the numbers, or 0, 1, 2 and so on."""
        if self.is_numeric:
            return self.values.astype(np.float64)
        return np.arange(len(self.values), dtype=np.float64)

    def __len__(self) -> int:
        return len(self.values)


def grid_of(column: Column, values: Values, most: int = GRID_POINTS, tail: float = _TAIL) -> Grid:
    """Returns at most so many values of a column, with as equally many rows between them as can be.

    All occur in the data, so that whole numbers stay whole. Of labels the most frequent are
    taken, of many numbers those at quantiles.

    Args:
        column: The column.
        values: Of some rows; missing ones do not count.
        most: Number of values.
        tail: Share of the rows that may lie beyond either end of many numbers.
    """
    if column.labels:
        return _labelled(column, values[values.astype(np.int64) >= 0], most)
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    distinct = np.unique(numbers)
    if len(distinct) > most:
        wanted = np.linspace(tail, 1 - tail, most)
        distinct = np.unique(np.quantile(numbers, wanted, method="inverted_cdf"))
        if len(distinct) == 1:  # nearly all are equal, but not all
            distinct = np.unique([numbers.min(), distinct[0], numbers.max()])[:most]
    return Grid(distinct)


def _labelled(column: Column, codes: Values, most: int) -> Grid:
    present, counts = np.unique(codes, return_counts=True)
    chosen = np.sort(present[np.argsort(-counts, kind="stable")[:most]])
    return Grid(chosen, tuple(column.labels[code] for code in chosen.tolist()))


def is_missing(column: Column, values: Values) -> npt.NDArray[np.bool_]:
    """Returns which values of a column are missing."""
    if column.labels:
        return np.asarray(values.astype(np.int64) < 0)
    return np.isnan(values.astype(np.float64))


def missing_value(column: Column) -> Values:
    """Returns one value that is missing."""
    return np.array([-1]) if column.labels else np.array([np.nan])

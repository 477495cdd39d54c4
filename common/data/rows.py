"""Rows as they are read from a data set, before anything is learned of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.generic]


@dataclass(frozen=True)
class RawRows:
    """Rows of raw columns.

    Attributes:
        columns: Values by name as `common.data` decodes them: numbers with NaN for missing, codes
            into labels with -1 for missing, microseconds with the smallest int64 for missing, texts
            with None, images and embeddings with the first axis as rows.
        labels: What the codes of each categorical or boolean column stand for.
    """

    columns: Mapping[str, Values]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def take(self, chosen: npt.NDArray[np.generic] | slice) -> "RawRows":
        """Returns some of the rows, by position or by truth value."""
        taken = {name: values[chosen] for name, values in self.columns.items()}
        return RawRows(taken, self.labels)

    def parts(self, rows: int) -> Iterator["RawRows"]:
        """Yields the rows in order, so many at a time, without copying them."""
        for start in range(0, self.count, rows):
            yield self.take(slice(start, start + rows))


def concatenated(pieces: Sequence[RawRows]) -> RawRows:
    """Returns the rows of several pieces with the same columns and labels, in order."""
    names = pieces[0].columns
    columns = {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in names}
    return RawRows(columns, pieces[0].labels)

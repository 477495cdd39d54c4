"""Outputs for rows in which columns are set to other values, many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.data.rows import RawRows, Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject

_MOST_ROWS = 200_000
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Prober:
    """Asks a model for outputs under changed columns.

    Attributes:
        subject: What is analysed.
        outputs: Places of the outputs that are kept; the first is the main one.
        budget: Checked between batches.
    """

    subject: Subject
    outputs: Sequence[int]
    budget: Budget

    def predict(self, raw: RawRows) -> Outputs:
        """Returns the kept outputs, (rows, outputs)."""
        self.budget.check()
        return np.asarray(self.subject.predict(raw)[:, list(self.outputs)])

    def grid(self, raw: RawRows, values: Mapping[str, Values]) -> Outputs:
        """Returns outputs for every row with every set of values.

        Args:
            raw: The rows.
            values: By column, (points,) each: at a point the columns have these values together.

        Returns:
            Shape (points, rows, outputs).
        """
        points = len(next(iter(values.values())))
        together = max(1, _rows_a_call(raw) // raw.count)
        pieces = []
        for start in range(0, points, together):
            some = {name: each[start : start + together] for name, each in values.items()}
            pieces.append(self._block(raw, some))
        return np.concatenate(pieces)

    def _block(self, raw: RawRows, values: Mapping[str, Values]) -> Outputs:
        points = len(next(iter(values.values())))
        rows = raw.take(np.tile(np.arange(raw.count), points))
        for name, each in values.items():
            own = np.repeat(each.astype(raw.columns[name].dtype), raw.count)
            rows = with_column(rows, name, own)
        return self.predict(rows).reshape(points, raw.count, -1)


def _rows_a_call(raw: RawRows) -> int:
    """Returns how many rows are made at once: embeddings and images are large."""
    row_bytes = sum(each.nbytes for each in raw.columns.values()) / raw.count
    return int(min(_MOST_ROWS, _MOST_BYTES / max(1.0, row_bytes)))

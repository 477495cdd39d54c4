"""Outputs for rows in which columns are set to other values, many at once.

Small models spend most of their time on being called: one call takes as many rows as memory allows.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from common.data.rows import RawRows, Values, concatenated
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.subject import Subject

_MOST_ROWS = 200_000
_MOST_BYTES = 1 << 28

Setting: TypeAlias = Mapping[str, Values]
"""Values by column, (points,) each: at a point the columns have these values together."""


class Prober:
    """Asks a model for outputs under changed columns.

    Attributes:
        outputs: Places of the outputs that are kept; the first is the main one.
        seconds_per_row: How long a row takes, as the call with most rows so far tells.
    """

    def __init__(self, subject: Subject, outputs: Sequence[int], budget: Budget) -> None:
        """Asks nothing yet.

        Args:
            subject: What is analysed.
            outputs: See above.
            budget: Checked between batches.
        """
        self.outputs = outputs
        self.seconds_per_row = subject.seconds_per_row
        self._most_rows = 0
        self._subject = subject
        self._budget = budget

    def predict(self, raw: RawRows) -> Outputs:
        """Returns the kept outputs, (rows, outputs)."""
        self._budget.check()
        start = time.perf_counter()
        found = self._subject.predict(raw)
        if raw.count >= self._most_rows:
            self._most_rows = raw.count
            self.seconds_per_row = (time.perf_counter() - start) / raw.count
        return np.asarray(found[:, list(self.outputs)])

    def predict_each(self, pieces: Sequence[RawRows]) -> list[Outputs]:
        """Returns the kept outputs of several tables, predicted together."""
        ends = np.cumsum([each.count for each in pieces])
        return np.split(self.predict(concatenated(pieces)), ends[:-1])

    def grid(self, raw: RawRows, setting: Setting) -> Outputs:
        """Returns outputs for every row at every point, (points, rows, outputs)."""
        return self.grids(raw, [setting])[0]

    def grids(self, raw: RawRows, settings: Sequence[Setting]) -> list[Outputs]:
        """Returns outputs for every row at every point of each setting, (points, rows, outputs)."""
        ends = np.cumsum([_points(each) for each in settings])
        together = max(1, _rows_a_call(raw) // raw.count)
        found = np.concatenate(
            [
                self._block(raw, settings, start, min(start + together, ends[-1]))
                for start in range(0, ends[-1], together)
            ]
        )
        return np.split(found, ends[:-1])

    def _block(self, raw: RawRows, settings: Sequence[Setting], start: int, end: int) -> Outputs:
        """Returns outputs at points from start to end, counted over all settings."""
        points = end - start
        rows = raw.take(np.tile(np.arange(raw.count), points))  # copies, which may be changed
        first = 0
        for setting in settings:
            chosen = slice(max(0, start - first), max(0, end - first))
            for name, values in setting.items():
                own = values[chosen]
                at = max(0, first - start)
                columns = rows.columns[name].reshape(points, raw.count)
                columns[at : at + len(own)] = own[:, None]
            first += _points(setting)
        return self.predict(rows).reshape(points, raw.count, -1)


def _points(setting: Setting) -> int:
    return len(next(iter(setting.values())))


def _rows_a_call(raw: RawRows) -> int:
    """Returns how many rows are made at once: embeddings and images are large."""
    row_bytes = sum(each.nbytes for each in raw.columns.values()) / raw.count
    return int(min(_MOST_ROWS, _MOST_BYTES / max(1.0, row_bytes)))

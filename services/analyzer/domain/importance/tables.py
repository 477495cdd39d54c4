"""The inputs of a model as one table of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.importance.fed import Fed, Place


@dataclass(frozen=True)
class Table:
    """Inputs side by side.

    Attributes:
        values: The numbers, (rows, features).
        starts: The first feature of each input.
    """

    values: npt.NDArray[np.float64]
    starts: Mapping[str, int]

    def columns_of(self, place: Place) -> slice:
        """Returns the features at a place."""
        start = self.starts[place.input]
        if place.columns is None:
            following = [each for each in self.starts.values() if each > start]
            return slice(start, min(following, default=self.values.shape[1]))
        return slice(start + place.columns.start, start + place.columns.stop)

    def all_of(self, places: Sequence[Place]) -> npt.NDArray[np.int64]:
        """Returns the features at several places."""
        found = [self.columns_of(place) for place in places]
        return np.concatenate([np.arange(each.start, each.stop) for each in found])


def table_of(rows: Fed) -> Table | None:
    """Returns the inputs as one table, None where some are no numbers."""
    if any(each.dtype.kind not in "fiub" for each in rows.inputs.values()):
        return None
    columns = [each.reshape(len(each), -1) for each in rows.inputs.values()]
    starts = np.cumsum([0, *(each.shape[1] for each in columns)]).tolist()
    table = np.concatenate(columns, axis=1).astype(np.float64, copy=False)
    return Table(table, dict(zip(rows.inputs, starts, strict=False)))

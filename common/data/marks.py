"""What an outlier scan says of rows, and what a row weighs for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WEIGHT_FLOOR = 0.05
"""What the weight of a row is multiplied by at least, however likely it is an outlier."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RowMarks:
    """What a scan says of rows; arrays of shape (rows,).

    Attributes:
        marked: Whether it marked them.
        probability: That they are outliers, 0 to 1.
    """

    marked: Bools
    probability: Floats

    @property
    def tells(self) -> bool:
        """Whether any row is marked, or may be an outlier."""
        return bool(self.marked.any() or self.probability.any())

    def take(self, rows: npt.NDArray[np.int64] | slice) -> "RowMarks":
        """Returns the marks of some rows."""
        return RowMarks(self.marked[rows], self.probability[rows])


def weight_factors(probability: Floats) -> Floats:
    """Returns what the weights of rows are multiplied by where likely outliers count less, (rows,).

    Args:
        probability: That each row is an outlier, (rows,).
    """
    return np.maximum(1 - probability, WEIGHT_FLOOR).astype(np.float32)

"""Which rows of a message are explained."""

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Scores
from services.outlier.domain.table import RowNumbers

MOST_EXPLAINED = 100
"""Rows of a message that are explained: more would take long, and fill the answer."""


def oddest_marked(scores: Scores, marked: npt.NDArray[np.bool_]) -> RowNumbers:
    """Returns the positions of the oddest marked rows, at most 100, ascending.

    Args:
        scores: Shape (rows,).
        marked: Whether each row is marked, shape (rows,).
    """
    places = np.flatnonzero(marked)
    oddest = np.argsort(-scores[places], kind="stable")[:MOST_EXPLAINED]
    return np.sort(places[oddest])

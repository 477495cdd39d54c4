"""Why rows are odd: which columns make them so, by how much, and which usual rows are nearest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from services.outlier.domain.detector import Matrix, Rows, Scores, concatenated_rows
from services.outlier.domain.preparation import Preparation

Score = Callable[[Rows], Scores]
_MOST_COLUMNS = 64
_MOST_NEIGHBOURS = 3
_CALL_ROWS, _CALL_CELLS = 1024, 2_000_000


@dataclass(frozen=True)
class Explanation:
    """Why one row is odd.

    Attributes:
        contributions: How much of the score each column makes up, shape (columns,): what is gained
            where only that column is odd, averaged with what is lost where only it is not (the
            first and the last term of Shapley's value). What speaks for the row is negative.
        nearest: Positions of the nearest usual rows, the nearest first.
    """

    contributions: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int64]


def explain(score: Score, preparation: Preparation, odd: Rows, usual: Rows) -> list[Explanation]:
    """Explains rows against usual ones.

    Args:
        score: Scores prepared rows.
        preparation: Says which features belong to which column.
        odd: The rows to explain, prepared.
        usual: Usual rows to compare them with, prepared, at least one.
    """
    distances = cdist(odd.values, usual.values)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :_MOST_NEIGHBOURS]
    near = usual.take(nearest[:, 0])
    contributions = _contributions(score, preparation, odd, near)
    return [
        Explanation(contributions[row], nearest[row].astype(np.int64)) for row in range(odd.count)
    ]


def _contributions(score: Score, preparation: Preparation, odd: Rows, near: Rows) -> Matrix:
    """Returns each column's share of the difference in score, shape (rows, columns)."""
    found = np.zeros((odd.count, len(preparation.columns)))
    every = np.arange(odd.count)
    high, low = score(concatenated_rows([odd, near])).reshape(2, odd.count)
    owners, code_owners = preparation.owners, preparation.code_owners
    tried = _widest_apart(preparation, odd, near)
    # Many small calls would cost more than they compute.
    at_once = max(1, min(_CALL_ROWS, _CALL_CELLS // len(owners)) // (2 * odd.count))
    for start in range(0, len(tried), at_once):
        some = tried[start : start + at_once]
        masks = [(owners == each[:, None], code_owners == each[:, None]) for each in some]
        without = [_mixed(odd, near, *mask) for mask in masks]
        alone = [_mixed(near, odd, *mask) for mask in masks]
        scores = score(concatenated_rows([*without, *alone])).reshape(2, len(some), odd.count)
        for column, lost, gained in zip(some, high - scores[0], scores[1] - low, strict=True):
            found[every, column] = (lost + gained) / 2
    return found


def _widest_apart(preparation: Preparation, odd: Rows, near: Rows) -> npt.NDArray[np.int64]:
    """Returns the columns to look at, shape (columns, rows).

    Of many columns these are for each row the ones in which it differs most.
    """
    owners, count = preparation.owners, len(preparation.columns)
    starts = np.searchsorted(owners, np.arange(count))
    by_column = np.maximum.reduceat(np.abs(odd.values - near.values), starts, axis=1)
    return np.argsort(-by_column, axis=1, kind="stable")[:, :_MOST_COLUMNS].T


def _mixed(
    rows: Rows, others: Rows, features: npt.NDArray[np.bool_], codes: npt.NDArray[np.bool_]
) -> Rows:
    """Returns rows with some features and codes of others."""
    return Rows(
        np.where(features, others.values, rows.values), np.where(codes, others.codes, rows.codes)
    )

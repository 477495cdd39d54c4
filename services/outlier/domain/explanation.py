"""Why rows are odd: which columns make them so, by how much, and which usual rows are nearest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from services.outlier.domain.detector import Matrix, Rows, Scores
from services.outlier.domain.preparation import Preparation

Score = Callable[[Rows], Scores]
_MOST_COLUMNS = 64
_MOST_NEIGHBOURS = 3


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
    high, low = score(odd), score(near)
    for column in _widest_apart(preparation, odd, near):
        features = preparation.owners == column
        codes = preparation.code_owners == column
        lost = high - score(_mixed(odd, near, features, codes))
        gained = score(_mixed(near, odd, features, codes)) - low
        found[:, column] = (lost + gained) / 2
    return found


def _widest_apart(preparation: Preparation, odd: Rows, near: Rows) -> npt.NDArray[np.int64]:
    """Returns the columns to look at: of many, those in which the rows differ most."""
    apart = np.abs(odd.values - near.values).max(axis=0)
    count = len(preparation.columns)
    by_column = np.zeros(count)
    np.maximum.at(by_column, preparation.owners, apart)
    return np.argsort(-by_column, kind="stable")[:_MOST_COLUMNS]


def _mixed(
    rows: Rows, others: Rows, features: npt.NDArray[np.bool_], codes: npt.NDArray[np.bool_]
) -> Rows:
    """Returns rows with some features and codes of others."""
    return Rows(
        np.where(features, others.values, rows.values), np.where(codes, others.codes, rows.codes)
    )

"""Groups of anomalies that are odd for like reasons."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from services.outlier.domain.detector import Matrix

# Reasons are alike where the angle between them is less than about 45 degrees.
_UNLIKE = 0.3
_MOST_ROWS = 2000


@dataclass(frozen=True)
class Group:
    """Anomalies that are odd for like reasons.

    Attributes:
        members: Positions of the rows, in the order they were given.
        shares: Share of the reasons that each column makes up on average, shape (columns,), sum 1.
    """

    members: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


def group_by_reasons(contributions: Matrix) -> list[Group]:
    """Returns groups of rows, the largest first; a row that is like no other is a group of one.

    Rows are joined while the mean cosine distance of their reasons is below 0.3 (average linkage,
    Sokal and Michener, 1958). Only what speaks for a row being odd counts.

    Args:
        contributions: Of each column to each anomaly's score, shape (rows, columns), the oddest row
            first; of more than 2,000 rows the first are grouped.
    """
    reasons = np.maximum(contributions[:_MOST_ROWS], 0)
    lengths = np.sqrt((reasons**2).sum(axis=1))
    reasoned = np.flatnonzero(lengths > 0)
    if not len(reasoned):
        return []
    shares = reasons[reasoned] / reasons[reasoned].sum(axis=1, keepdims=True)
    labels = _labels(shares)
    groups = [
        Group(reasoned[labels == label], shares[labels == label].mean(axis=0))
        for label in np.unique(labels)
    ]
    return sorted(groups, key=lambda group: (-len(group.members), group.members[0]))


def _labels(shares: Matrix) -> npt.NDArray[np.int64]:
    if len(shares) == 1:
        return np.zeros(1, np.int64)
    tree = linkage(pdist(shares, "cosine"), "average")
    return np.asarray(fcluster(tree, _UNLIKE, "distance"), np.int64)

"""Columns that say nearly the same, as groups."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from services.pruner.domain.features.coding import BINS, Coding, Floats

STRONG = 0.98
"""From here on columns are of one group."""

_MOST_WORK = 1e10


def dependence(coding: Coding) -> Floats:
    """Returns how much columns depend on each other, from 0 to 1, (columns, columns).

    The larger of the rank correlation and Cramer's V of the bins (Cramer 1946), of which the first
    is more exact for numbers, the second sees all that is no order.
    """
    count = len(coding.scores)
    ranks = np.abs(coding.scores.T @ coding.scores) / max(count, 1)
    found = np.clip(np.maximum(ranks, _association(coding)), 0.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def groups_of(related: Floats) -> list[list[int]]:
    """Returns positions of columns by group: in one all are strongly dependent on all others.

    Args:
        related: See `dependence`.
    """
    if len(related) < 2:
        return [[each] for each in range(len(related))]
    tree = linkage(squareform(1.0 - related, checks=False), "complete")
    labels = fcluster(tree, 1.0 - STRONG + 1e-9, "distance")
    return [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]


def _association(coding: Coding) -> Floats:
    """Returns Cramer's V of all pairs, (columns, columns)."""
    columns = coding.bins.shape[1]
    rows = int(np.clip(_MOST_WORK / max(columns * BINS, 1) ** 2, 200, len(coding.bins)))
    flags = indicators(coding, np.linspace(0, len(coding.bins) - 1, rows).astype(int).tolist())
    shares = flags.mean(axis=0)
    scaled = (flags / np.sqrt(np.where(shares > 0, shares, 1.0))).astype(np.float32)
    joint = (scaled.T @ scaled / rows).reshape(columns, BINS, columns, BINS)
    square = np.square(joint).sum(axis=(1, 3)) - 1.0
    used = (shares > 0).reshape(columns, BINS).sum(axis=1)
    freedom = np.minimum(used[:, None], used[None]) - 1
    values = np.sqrt(np.clip(square / np.maximum(freedom, 1), 0.0, 1.0))
    return np.asarray(np.where(freedom > 0, values, 0.0), np.float64)


def indicators(coding: Coding, rows: Sequence[int]) -> Floats:
    """Returns 1 for the bin that a row is in, (rows, columns times `BINS`)."""
    return np.eye(BINS)[coding.bins[rows]].reshape(len(rows), -1)

"""Rows such as a model meets, made of those it has learned from."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.neighbors import NearestNeighbors

Matrix = npt.NDArray[np.float64]

_LEAST, _MOST = 500, 8_000
_CELLS = 20_000_000
_PARENTS = 6_000
_NEIGHBOURS = 5
_STRANGE = 0.2


def dense(features: Any) -> Matrix:
    """Returns features as one array of numbers."""
    return np.asarray(features.toarray() if issparse(features) else features, np.float64)


def likely_rows(features: Matrix, seed: int) -> Matrix:
    """Returns rows at which a smaller model can be held against the original, (found, columns).

    These are rows that were learned from, as many as are allowed, and rows that are made of them:
    half take each value from a row or from one of its neighbours (the idea of MUNGE: Bucila et al.,
    Model compression, 2006), half have some values that are anybody's.

    Args:
        features: What the model learned from; NaN where a value is missing, (rows, columns).
        seed: Of what is drawn.
    """
    generator = np.random.default_rng(seed)
    made = int(np.clip(_CELLS // max(features.shape[1], 1), _LEAST, _MOST))
    parents = features[generator.permutation(len(features))[: min(made, _PARENTS)]]
    count, width = parents.shape
    own = generator.integers(count, size=made)
    near = _neighbours(parents)
    others = near[own, generator.integers(near.shape[1], size=made)]
    is_strange = np.arange(made) % 2 == 0
    others[is_strange] = generator.integers(count, size=is_strange.sum())
    share = np.where(is_strange, _STRANGE, 0.5)
    is_others = generator.random((made, width)) < share[:, None]
    return np.concatenate([parents, np.where(is_others, parents[others], parents[own])])


def _neighbours(rows: Matrix) -> npt.NDArray[np.int64]:
    """Returns the places of those nearest to each row, (rows, neighbours)."""
    spread = np.nanstd(rows, axis=0)
    filled = np.nan_to_num(rows / np.where(spread > 0, spread, 1.0))
    count = min(_NEIGHBOURS + 1, len(rows))
    found = NearestNeighbors(n_neighbors=count).fit(filled)
    near: npt.NDArray[np.int64] = found.kneighbors(filled, return_distance=False)
    return near[:, 1:] if count > 1 else near

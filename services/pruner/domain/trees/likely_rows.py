"""Rows such as a model meets, made of those it has learned from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.neighbors import NearestNeighbors

Matrix = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_LEAST, _MOST = 500, 12_000
_CELLS = 20_000_000
_PARENTS = 6_000
_NEIGHBOURS = 5
_STRANGE = 0.1
# One in so many has values that are anybody's.
_STRANGE_EVERY = 4


@dataclass(frozen=True)
class LikelyRows:
    """Rows at which a smaller model can be held against the original.

    Attributes:
        features: Some rows that were learned from, then those that are made, (rows, columns).
        parents: Which rows the first ones are, (parents,).
    """

    features: Matrix
    parents: Positions


def dense(features: Any) -> Matrix:
    """Returns features as one array of numbers."""
    return np.asarray(features.toarray() if issparse(features) else features, np.float64)


def likely_rows(features: Matrix, seed: int, most: int | None = None) -> LikelyRows:
    """Returns rows that were learned from, as many as are allowed, and rows made of them.

    Most take each value from a row or from one of its neighbours (the idea of MUNGE: Bucila et al.,
    Model compression, 2006), some have a few values that are anybody's.

    Args:
        features: What the model learned from; NaN where a value is missing, (rows, columns).
        seed: Of what is drawn.
        most: Rows to make, if fewer than usual.
    """
    generator = np.random.default_rng(seed)
    wanted = min(_MOST, _CELLS // max(features.shape[1], 1), _MOST if most is None else most)
    made = max(_LEAST, wanted)
    places = generator.permutation(len(features))[: min(made, _PARENTS)]
    parents = features[places]
    count, width = parents.shape
    own = generator.integers(count, size=made)
    near = _neighbours(parents)
    others = near[own, generator.integers(near.shape[1], size=made)]
    is_strange = np.arange(made) % _STRANGE_EVERY == 0
    others[is_strange] = generator.integers(count, size=is_strange.sum())
    share = np.where(is_strange, _STRANGE, 0.5)
    is_others = generator.random((made, width)) < share[:, None]
    mixed = np.where(is_others, parents[others], parents[own])
    return LikelyRows(np.concatenate([parents, mixed]), places)


def _neighbours(rows: Matrix) -> Positions:
    """Returns the places of those nearest to each row, (rows, neighbours)."""
    spread = np.nanstd(rows, axis=0)
    filled = np.nan_to_num(rows / np.where(spread > 0, spread, 1.0))
    count = min(_NEIGHBOURS + 1, len(rows))
    found = NearestNeighbors(n_neighbors=count).fit(filled)
    near: Positions = found.kneighbors(filled, return_distance=False)
    return near[:, 1:] if count > 1 else near

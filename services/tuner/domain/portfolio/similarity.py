"""How much what is known of other sets says of a problem."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from common.scoring.kinds import ProblemKind
from services.tuner.domain.portfolio.known_set import KnownSet

_WIDTH = 0.7
_LEAST = 0.05
"""Also what is unlike says a little: what is good everywhere comes before what is good nowhere."""
_LEAST_SPREAD = 0.1
_OF_CLASSES, _OF_OTHERS = 0.5, 0.2
_OTHER_METRIC = 0.7

Weights = npt.NDArray[np.float64]


def weights_of(
    known: Sequence[KnownSet], kind: ProblemKind, metric: str, features: Mapping[str, float]
) -> Weights:
    """Returns a weight of each set, at most 1.

    Features are compared in units of their spread over all sets; those that only one of two sets
    has are not compared.

    Args:
        known: The sets.
        kind: Of the problem.
        metric: What the problem is judged by.
        features: See `meta_features`.
    """
    names = sorted({name for each in known for name in each.features} & set(features))
    rows = np.array([[each.features.get(name, np.nan) for name in names] for each in known])
    rows = rows.reshape(len(known), len(names))
    own = np.array([features[name] for name in names])
    apart = (rows - own) / _spreads(np.vstack([rows, own]))
    counts = np.isfinite(apart).sum(axis=1)
    distances = np.full(len(known), np.inf)
    np.divide(np.nan_to_num(apart**2).sum(axis=1), counts, out=distances, where=counts > 0)
    near = _LEAST + (1 - _LEAST) * np.exp(-distances / (2 * _WIDTH**2))
    found: Weights = near * [_of_goal(each, kind, metric) for each in known]
    return found


def _spreads(rows: Weights) -> Weights:
    known = np.isfinite(rows)
    counts = np.maximum(known.sum(axis=0), 1)
    centres = np.where(known, rows, 0.0).sum(axis=0) / counts
    squares = np.where(known, (rows - centres) ** 2, 0.0).sum(axis=0) / counts
    found: Weights = np.maximum(np.sqrt(squares), _LEAST_SPREAD)
    return found


def _of_goal(known: KnownSet, kind: ProblemKind, metric: str) -> float:
    if known.kind is kind:
        return 1.0 if known.metric == metric else _OTHER_METRIC
    return _OF_CLASSES if known.kind.has_classes and kind.has_classes else _OF_OTHERS

"""Rows that are learned from, by the marks of an outlier scan."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from common.data.marks import weight_factors
from common.scoring.outlier_uses import Use
from services.tuner.domain.problem import Problem


def by_marks(train: Problem, use: Use) -> Problem:
    """Returns rows to learn from as a use of their marks has them.

    Args:
        train: Rows that are learned from, with marks where the use is not `keep`.
        use: `drop` leaves marked rows out, but for those of a class that has no others;
            `down_weight` multiplies weights by the chance that a row is none; their mean stays.
    """
    if use == "keep" or train.marks is None:
        return train
    if use == "drop":
        return train.take(np.flatnonzero(~_dropped(train, train.marks.marked)))
    weights = np.ones(train.row_count) if train.weights is None else train.weights
    found = weights * weight_factors(train.marks.probability).astype(np.float64)
    return replace(train, weights=found * (weights.mean() / max(found.mean(), 1e-300)))


def _dropped(train: Problem, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if not train.kind.has_classes:
        return marked
    classes = train.truth.astype(np.int64)
    kept = np.bincount(classes[~marked], minlength=len(train.outputs))
    return marked & (kept[classes] > 0)

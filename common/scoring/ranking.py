"""Metrics of the order of outputs: which rows come before which."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.scoring.arrays import Outputs, Truth
from common.scoring.forms import CLASSES, LABELS, WholeMetric
from common.scoring.metric import Needs
from common.scoring.rows import RowValues


@dataclass(frozen=True)
class Curve:
    """Weight of the rows whose score is at least as high as each score that occurs.

    Attributes:
        scores: Each once, descending, (scores,).
        positives: Weight of the positive rows, ascending, (scores,).
        negatives: Weight of the others, ascending, (scores,).
    """

    scores: RowValues
    positives: RowValues
    negatives: RowValues


_UNTOLD = Curve(*np.zeros((3, 1)))


def curve_of(
    is_positive: npt.NDArray[np.bool_], scores: RowValues, weights: RowValues | None
) -> Curve:
    """Returns the curve of scores, (rows,)."""
    if weights is None:
        scores, is_positive = _descending(scores, is_positive)
    else:
        order = np.argsort(scores)[::-1]
        scores, is_positive, weights = scores[order], is_positive[order], weights[order]
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    if weights is None:
        positives = np.cumsum(is_positive)[ends].astype(np.float64)
        return Curve(scores[ends], positives, ends + 1 - positives)
    positives = np.cumsum(weights * is_positive)[ends]
    negatives = np.cumsum(weights * ~is_positive)[ends]
    return Curve(scores[ends], positives, negatives)


def _descending(
    scores: RowValues, is_positive: npt.NDArray[np.bool_]
) -> tuple[RowValues, npt.NDArray[np.bool_]]:
    if not (scores.min() >= 0 and scores.max() < 2):
        order = np.argsort(scores)[::-1]
        return scores[order], is_positive[order]
    # Of numbers from 0 to below 2 the bits have the same order and leave one free, and sorting
    # numbers takes a third of the time of sorting positions.
    bits = np.ascontiguousarray(scores, np.float64).view(np.int64)
    keys = np.sort(bits << 1 | is_positive)[::-1]
    return (keys >> 1).view(np.float64), (keys & 1).astype(np.bool_)


def _area(curve: Curve) -> float:
    total = curve.positives[-1] * curve.negatives[-1]
    if not total > 0:
        return 0.5
    # Before a negative row come those positive ones with a higher score, and half of the equal.
    before = curve.positives - np.diff(curve.positives, prepend=0.0) / 2
    return float((np.diff(curve.negatives, prepend=0.0) * before).sum() / total)


def _precision(curve: Curve) -> float:
    if not curve.positives[-1] > 0:
        return 0.0
    chosen = curve.positives + curve.negatives
    precision = curve.positives / np.where(chosen > 0, chosen, 1.0)
    gained = np.diff(curve.positives, prepend=0.0)
    return float((gained * precision).sum() / curve.positives[-1])


def _averaged(
    summary: Callable[[Curve], float],
    truth: Truth,
    outputs: Outputs,
    weights: RowValues | None,
) -> float:
    """Returns the summary of the second of two classes, or the mean over classes or labels."""
    if truth.ndim == 1 and outputs.shape[1] == 2:
        return summary(curve_of(truth == 1, outputs[:, 1], weights))
    is_own = truth.T == 1 if truth.ndim == 2 else truth == np.arange(outputs.shape[1])[:, None]
    found = [
        summary(curve_of(each, scores, weights))
        for each, scores in zip(is_own, np.ascontiguousarray(outputs.T), strict=True)
        if _is_telling(each, weights)
    ]
    return float(np.mean(found)) if found else summary(_UNTOLD)


def _is_telling(is_own: npt.NDArray[np.bool_], weights: RowValues | None) -> bool:
    """Whether some rows have a class or label and others do not."""
    counted = is_own if weights is None else is_own[weights > 0]
    return bool(counted.any() and not counted.all())


def _roc_auc(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    return _averaged(_area, truth, outputs, weights)


def _average_precision(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    return _averaged(_precision, truth, outputs, weights)


ROC_AUC = WholeMetric("roc_auc", CLASSES | LABELS, Needs.PROBABILITIES, _roc_auc)
AVERAGE_PRECISION = WholeMetric(
    "average_precision", CLASSES | LABELS, Needs.PROBABILITIES, _average_precision
)
RANKING = (ROC_AUC, AVERAGE_PRECISION)

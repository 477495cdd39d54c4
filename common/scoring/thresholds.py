"""From which probability on the second of two classes is decided for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from common.scoring import deciding
from common.scoring.arrays import Outputs, Truth
from common.scoring.deciding import ratio
from common.scoring.metric import Metric
from common.scoring.ranking import curve_of
from common.scoring.rows import RowValues, counted

_USUAL = 0.5
_EQUAL = 1e-12


@dataclass(frozen=True)
class Threshold:
    """Where to cut; see `decisions_at`.

    Attributes:
        value: The second class is decided for where it is likelier than that.
        loss: Of the metric with these decisions.
    """

    value: float
    loss: float


@dataclass(frozen=True)
class _Cuts:
    """Weights of the four kinds of rows at each threshold, (thresholds,)."""

    true_positives: RowValues
    false_positives: RowValues
    false_negatives: RowValues
    true_negatives: RowValues


def _accuracy(cuts: _Cuts) -> RowValues:
    right = cuts.true_positives + cuts.true_negatives
    return ratio(right, right + cuts.false_positives + cuts.false_negatives)


def _balanced_accuracy(cuts: _Cuts) -> RowValues:
    positives = cuts.true_positives + cuts.false_negatives
    negatives = cuts.true_negatives + cuts.false_positives
    recalls = ratio(cuts.true_positives, positives) + ratio(cuts.true_negatives, negatives)
    return ratio(recalls, _occurring(positives, negatives))


def _f1(cuts: _Cuts) -> RowValues:
    return _f1_of(cuts.true_positives, cuts.false_positives + cuts.false_negatives)


def _f1_macro(cuts: _Cuts) -> RowValues:
    wrong = cuts.false_positives + cuts.false_negatives
    occurring = _occurring(cuts.true_positives + wrong, cuts.true_negatives + wrong)
    return ratio(_f1(cuts) + _f1_of(cuts.true_negatives, wrong), occurring)


def _f1_of(right: RowValues, wrong: RowValues) -> RowValues:
    return ratio(2 * right, 2 * right + wrong)


def _occurring(one: RowValues, other: RowValues) -> RowValues:
    return np.asarray((one > 0).astype(np.float64) + (other > 0))


def _mcc(cuts: _Cuts) -> RowValues:
    right = cuts.true_positives * cuts.true_negatives
    wrong = cuts.false_positives * cuts.false_negatives
    spread = (
        (cuts.true_positives + cuts.false_positives)
        * (cuts.true_positives + cuts.false_negatives)
        * (cuts.true_negatives + cuts.false_positives)
        * (cuts.true_negatives + cuts.false_negatives)
    )
    return ratio(right - wrong, np.sqrt(spread))


_GAINS: Mapping[str, Callable[[_Cuts], RowValues]] = MappingProxyType(
    {
        deciding.ACCURACY.name: _accuracy,
        deciding.BALANCED_ACCURACY.name: _balanced_accuracy,
        deciding.F1.name: _f1,
        deciding.F1_MACRO.name: _f1_macro,
        deciding.F1_MICRO.name: _accuracy,
        deciding.MCC.name: _mcc,
    }
)


def has_threshold(metric: Metric) -> bool:
    """Whether the metric is one for which a threshold can be chosen."""
    return metric.name in _GAINS


def best_threshold(
    truth: Truth, outputs: Outputs, metric: Metric, weights: RowValues | None = None
) -> Threshold:
    """Returns the threshold of least loss; of equals the one closest to 0.5.

    Args:
        truth: Positions of classes of a binary problem, (rows,).
        outputs: Probabilities of rows that were not learned from, (rows, 2).
        metric: One that `has_threshold`.
        weights: Of the rows; all alike by default.

    Raises:
        ValueError: No threshold can be chosen for the metric.
    """
    if not has_threshold(metric):
        raise ValueError(f"No threshold can be chosen for {metric.name}.")
    curve = curve_of(truth == 1, outputs[:, 1], counted(weights))
    values, cuts = _between(curve.scores), _cuts(curve.positives, curve.negatives)
    losses = 1 - _GAINS[metric.name](cuts)
    best = np.flatnonzero(losses <= losses.min() + _EQUAL)
    chosen = best[np.argmin(np.abs(values[best] - _USUAL))]
    return Threshold(float(values[chosen]), float(losses[chosen]))


def _between(scores: RowValues) -> RowValues:
    """Returns a threshold above all scores, then one below each, (scores + 1,)."""
    above = np.concatenate(([max(1.0, scores[0])], scores))
    below = np.append(scores, 0.0 if scores[-1] > 0 else scores[-1] - 1.0)
    middle = (above + below) / 2
    # Between neighbouring numbers there is no other, and the lower one is not above itself.
    middle = np.where(middle < above, middle, below)
    return np.where((below <= _USUAL) & (above > _USUAL), _USUAL, middle)


def _cuts(positives: RowValues, negatives: RowValues) -> _Cuts:
    """Counts from a curve, from no row above the threshold to all."""
    chosen, wrongly = np.append(0.0, positives), np.append(0.0, negatives)
    # What is left can fall below 0 by rounding.
    missed = np.maximum(positives[-1] - chosen, 0.0)
    spared = np.maximum(negatives[-1] - wrongly, 0.0)
    return _Cuts(chosen, wrongly, missed, spared)

"""Metrics of decisions: classes and labels that rows are given."""

from dataclasses import dataclass

import numpy as np

from common.scoring.arrays import Outputs, Truth
from common.scoring.decisions import likely_labels, most_likely
from common.scoring.forms import CLASSES, LABELS, MeanMetric, WholeMetric
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Needs
from common.scoring.rows import RowValues


@dataclass(frozen=True)
class Counts:
    """Weight of rows by class or label, each (outputs,).

    Attributes:
        had: Of those that have it.
        given: Of those that are given it.
        right: Of those that have it and are given it.
    """

    had: RowValues
    given: RowValues
    right: RowValues

    @property
    def f1(self) -> RowValues:
        """F1 of each, 0 where no row has it nor is given it."""
        return ratio(2 * self.right, self.had + self.given)


def counts_of(truth: Truth, outputs: Outputs, weights: RowValues | None) -> Counts:
    """Counts rows by class or label."""
    if truth.ndim == 2:
        return _label_counts(truth, outputs, weights)
    count = outputs.shape[1]
    truth = truth.astype(np.int64, copy=False)
    found = most_likely(outputs)
    is_right = found == truth
    right = truth[is_right]
    right_weights = None if weights is None else weights[is_right]
    return Counts(
        *(
            np.bincount(positions, each, minlength=count).astype(np.float64)
            for positions, each in ((truth, weights), (found, weights), (right, right_weights))
        )
    )


def _label_counts(truth: Truth, outputs: Outputs, weights: RowValues | None) -> Counts:
    had, given = truth == 1, likely_labels(outputs)
    factor = 1.0 if weights is None else weights[:, None]
    return Counts(*((each * factor).sum(axis=0) for each in (had, given, had & given)))


def ratio(above: RowValues, below: RowValues) -> RowValues:
    """Returns quotients, 0 where there is nothing to divide by."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))


def _wrong(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.asarray(most_likely(outputs) != truth, np.float64)


def _wrong_by_class(truth: Truth, outputs: Outputs, weights: RowValues | None) -> RowValues:
    """Rows of all classes that occur count alike together, so that their mean is that of errors."""
    truth = truth.astype(np.int64, copy=False)
    had = np.bincount(truth, weights, minlength=outputs.shape[1]).astype(np.float64)
    factors = ratio(np.full_like(had, had.sum()), had) / np.count_nonzero(had)
    return np.asarray(factors[truth] * (most_likely(outputs) != truth))


def _f1(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    return float(counts_of(truth, outputs, weights).f1[1])


def _f1_micro(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    counts = counts_of(truth, outputs, weights)
    rows = counts.had.sum() + counts.given.sum()
    return float(2 * counts.right.sum() / rows) if rows > 0 else 0.0


def _f1_macro(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    counts = counts_of(truth, outputs, weights)
    if truth.ndim == 2:
        return float(counts.f1.mean())
    return float(counts.f1[(counts.had > 0) | (counts.given > 0)].mean())


def _mcc(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    counts = counts_of(truth, outputs, weights)
    if min(np.count_nonzero(counts.had), np.count_nonzero(counts.given)) < 2:
        return 0.0
    total = counts.had.sum()
    had, given = counts.had / total, counts.given / total
    spread = (1 - had @ had) * (1 - given @ given)
    agreement = counts.right.sum() / total - had @ given
    return float(agreement / np.sqrt(spread)) if spread > 0 else 0.0


def _hamming(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.asarray((likely_labels(outputs) != truth).mean(axis=1))


def _any_wrong(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.asarray((likely_labels(outputs) != truth).any(axis=1), np.float64)


_DECISIONS = Needs.DECISIONS

ACCURACY = MeanMetric("accuracy", CLASSES, _DECISIONS, _wrong, is_gain=True)
BALANCED_ACCURACY = MeanMetric(
    "balanced_accuracy", CLASSES, _DECISIONS, _wrong_by_class, is_gain=True
)
"""Mean recall of the classes that occur."""

F1 = WholeMetric("f1", frozenset({ProblemKind.BINARY}), _DECISIONS, _f1)
"""Of the second class."""

F1_MACRO = WholeMetric("f1_macro", CLASSES | LABELS, _DECISIONS, _f1_macro)
"""Mean over the classes that occur or are given, or over all labels."""

F1_MICRO = WholeMetric("f1_micro", CLASSES | LABELS, _DECISIONS, _f1_micro)
"""Of all decisions together; of classes that is the accuracy."""

MCC = WholeMetric("mcc", CLASSES, _DECISIONS, _mcc)
"""Matthews' correlation coefficient, 0 where all rows have or are given one class (Gorodkin
2004)."""

HAMMING = MeanMetric("hamming", LABELS, _DECISIONS, _hamming)
"""Share of the labels that are wrong."""

SUBSET_ACCURACY = MeanMetric("subset_accuracy", LABELS, _DECISIONS, _any_wrong, is_gain=True)
"""Share of the rows all whose labels are right."""

DECIDING = (
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    F1_MACRO,
    F1_MICRO,
    MCC,
    HAMMING,
    SUBSET_ACCURACY,
)

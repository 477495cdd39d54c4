"""Which classes are taken for which."""

from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.behaviour.observed import Integers, Observed
from services.analyzer.domain.behaviour.summary import ConfusedPair, ConfusionSummary

MOST_CLASSES = 30
_MOST_PAIRS = 20


@dataclass(frozen=True)
class Confusion:
    """What is confused.

    Attributes:
        summary: What is said of it.
        counts: Rows of each class, predicted to be of each; only the classes of the summary.
        classes: Number of all classes.
    """

    summary: ConfusionSummary
    counts: Integers
    classes: int


def confusion(seen: Observed) -> Confusion:
    """Returns which classes are taken for which; rows of unknown classes are left out."""
    classes = len(seen.names)
    truth = seen.truth[seen.is_known].astype(np.int64)
    found = seen.found[seen.is_known].astype(np.int64)
    cells, rows = np.unique(truth * classes + found, return_counts=True)
    true, predicted = cells // classes, cells % classes
    wrong = true != predicted
    shown = _shown(true[wrong], predicted[wrong], rows[wrong], classes)
    counts = _counts(true, predicted, rows, shown)
    summary = ConfusionSummary(
        tuple(seen.names[place] for place in shown.tolist()),
        tuple(counts.reshape(-1).tolist()),
        _pairs(seen, true, predicted, rows),
    )
    return Confusion(summary, counts, classes)


def _shown(true: Integers, predicted: Integers, rows: Integers, classes: int) -> Integers:
    """Returns the classes that are part of most confusions, in order."""
    if classes <= MOST_CLASSES:
        return np.arange(classes)
    part = np.bincount(true, rows, classes) + np.bincount(predicted, rows, classes)
    return np.sort(np.argsort(-part, kind="stable")[:MOST_CLASSES])


def _counts(true: Integers, predicted: Integers, rows: Integers, shown: Integers) -> Integers:
    inside = np.isin(true, shown) & np.isin(predicted, shown)
    counts = np.zeros((len(shown), len(shown)), np.int64)
    places = np.searchsorted(shown, true[inside]), np.searchsorted(shown, predicted[inside])
    counts[places] = rows[inside]
    return counts


def _pairs(
    seen: Observed, true: Integers, predicted: Integers, rows: Integers
) -> tuple[ConfusedPair, ...]:
    support = np.bincount(true, rows, len(seen.names))
    wrong = np.flatnonzero(true != predicted)
    order = wrong[np.argsort(-rows[wrong], kind="stable")][:_MOST_PAIRS]
    return tuple(
        ConfusedPair(
            seen.names[true[place]],
            seen.names[predicted[place]],
            int(rows[place]),
            float(rows[place] / support[true[place]]),
        )
        for place in order
    )

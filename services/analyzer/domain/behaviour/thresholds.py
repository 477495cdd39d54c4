"""What each threshold would give."""

from dataclasses import dataclass

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Integers, Mask, Numbers, Observed
from services.analyzer.domain.behaviour.summary import ThresholdPoint, ThresholdSummary

_MOST_CURVES = 10
_MOST_DRAWN = 97
_MOST_TOLD = 41


@dataclass(frozen=True)
class Curve:
    """Thresholds of one class against the rest, descending; the first takes no row for positive.

    Attributes:
        summary: What is said of it.
        thresholds: Rows of at least this probability count as positive, (points,).
        recall: Share of positive rows found, (points,).
        false_positive_rate: Share of the others, (points,).
        precision: Share of the found that is right; 1 where nothing is found, (points,).
        f1: Harmonic mean of precision and recall, (points,).
    """

    summary: ThresholdSummary
    thresholds: Numbers
    recall: Numbers
    false_positive_rate: Numbers
    precision: Numbers
    f1: Numbers

    @property
    def prevalence(self) -> float:
        """Precision if all rows count as positive: the positive share."""
        return float(self.precision[-1])


def threshold_curves(seen: Observed) -> tuple[Curve, ...]:
    """Returns the curves of the second of two classes, or of the most frequent ones."""
    truth, outputs = seen.positives()
    support = truth.sum(axis=0)
    if seen.task is Task.CLASSIFICATION and outputs.shape[1] == 2:
        places = [1]
    else:
        places = np.argsort(-support, kind="stable")[:_MOST_CURVES].tolist()
    return tuple(
        _curve(seen.names[place], truth[:, place], outputs[:, place])
        for place in places
        if 0 < support[place] < len(truth)
    )


def _curve(name: str, truth: Mask, scores: Numbers) -> Curve:
    order = np.argsort(-scores, kind="stable")
    descending, positive = scores[order], truth[order]
    ends = np.append(np.flatnonzero(np.diff(descending)), len(scores) - 1)
    found = np.cumsum(positive)[ends].astype(np.float64)
    taken = (ends + 1).astype(np.float64)
    support = int(truth.sum())
    thresholds = np.insert(descending[ends], 0, np.nextafter(descending[0], np.inf))
    recall = np.insert(found / support, 0, 0.0)
    others = np.insert((taken - found) / (len(truth) - support), 0, 0.0)
    precision = np.insert(found / taken, 0, 1.0)
    f1 = np.insert(2 * found / (taken + support), 0, 0.0)
    columns = thresholds, recall, others, precision, f1
    summary = ThresholdSummary(
        name,
        support,
        float(np.trapezoid(recall, others)),
        float((np.diff(recall) * precision[1:]).sum()),
        _point(columns, int(f1.argmax())),
        _point(columns, int((recall - others).argmax())),
        tuple(_point(columns, place) for place in _thinned(recall + others, _MOST_TOLD).tolist()),
    )
    drawn = np.unique(
        np.append(_thinned(recall + others, _MOST_DRAWN), [f1.argmax(), (recall - others).argmax()])
    )
    return Curve(summary, *(column[drawn] for column in columns))


def _thinned(path: Numbers, most: int) -> Integers:
    """Returns places of at most so many points, evenly along an ascending path, with its ends."""
    if len(path) <= most:
        return np.arange(len(path))
    steps = np.linspace(path[0], path[-1], most)
    places = np.unique(np.searchsorted(path, steps))
    places[0], places[-1] = 0, len(path) - 1
    return np.asarray(places, np.int64)


def _point(columns: tuple[Numbers, ...], place: int) -> ThresholdPoint:
    threshold, *others = (float(column[place]) for column in columns)
    return ThresholdPoint(min(1.0, threshold), *others)

"""Metrics with intervals, and how well each class is found."""

import numpy as np
from scipy import stats

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Integers, Mask, Numbers, Observed
from services.analyzer.domain.behaviour.summary import ClassSummary, MetricEstimate
from services.analyzer.domain.comparison.statistics import share_interval
from services.analyzer.domain.metrics import (
    NEED_PROBABILITIES,
    Metric,
    Scorer,
    mean_interval,
    standard_metrics,
    variance_of,
)
from services.analyzer.domain.models.model import Outputs

MOST_CLASSES = 50
_ANY_SIZE = frozenset({"mean_absolute_error", "root_mean_squared_error", "log_loss", "bias"})
_ANY_SIGN = frozenset({"bias", "r2"})
_MOST_AREAS = 50


def estimates(seen: Observed) -> tuple[MetricEstimate, ...]:
    """Returns the usual metrics with 95 % confidence intervals.

    Shares of rows have Wilson's intervals. The others are taken as means of what each row adds to
    them (their influence functions; the infinitesimal jackknife, Efron 1981), with normal ones.
    """
    measured = standard_metrics(seen.task, seen.truth, seen.outputs)
    if not seen.has_probabilities:
        measured = {name: each for name, each in measured.items() if name not in NEED_PROBABILITIES}
    influences = _influences(seen, measured)
    return tuple(
        _estimate(name, value, influences.get(name), seen)
        for name, value in measured.items()
        if np.isfinite(value)
    )


def class_summaries(seen: Observed) -> tuple[ClassSummary, ...]:
    """Returns precision, recall and F1 of the most frequent classes or labels."""
    support, predicted, right = class_counts(seen)
    order = np.lexsort((np.arange(len(support)), -predicted, -support))[:MOST_CLASSES]
    return tuple(
        ClassSummary(
            seen.names[place],
            int(support[place]),
            int(predicted[place]),
            _share(right[place], predicted[place]),
            _share(right[place], support[place]),
            _share(2 * right[place], support[place] + predicted[place]),
        )
        for place in order.tolist()
    )


def class_counts(seen: Observed) -> tuple[Integers, Integers, Integers]:
    """Returns how many rows are of each class or label, are predicted to be, and are both."""
    if seen.task is Task.MULTI_LABEL:
        truth, found = seen.truth.astype(bool), seen.found.astype(bool)
        return truth.sum(axis=0), found.sum(axis=0), (truth & found).sum(axis=0)
    classes, known = len(seen.names), seen.truth[seen.is_known].astype(np.int64)
    right = seen.truth[seen.errors == 0].astype(np.int64)
    return (
        np.bincount(known, minlength=classes),
        np.bincount(seen.found.astype(np.int64), minlength=classes),
        np.bincount(right, minlength=classes),
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _estimate(name: str, value: float, influence: Numbers | None, seen: Observed) -> MetricEstimate:
    if name == "exact_match" or (name == "accuracy" and seen.task is Task.CLASSIFICATION):
        share = share_interval(round(value * seen.count), seen.count)
        return MetricEstimate(name, value, share.low, share.high)
    if influence is None or len(influence) < 2:
        return MetricEstimate(name, value)
    spread = mean_interval(influence)
    low, high = value + spread.low - spread.value, value + spread.high - spread.value
    low = low if name in _ANY_SIGN else max(0.0, low)
    high = high if name in _ANY_SIZE else min(1.0, high)
    if not np.isfinite([low, high]).all():
        return MetricEstimate(name, value)
    return MetricEstimate(name, value, float(low), float(high))


def _influences(seen: Observed, measured: dict[str, float]) -> dict[str, Numbers]:
    """Returns what each row adds to metrics, up to a constant, (rows,) each."""
    if seen.task is Task.REGRESSION:
        return _of_regression(seen, measured)
    if seen.task is Task.MULTI_LABEL:
        return _of_labels(seen.truth.astype(bool), seen.found.astype(bool))
    influences = {
        "balanced_accuracy": _of_balanced_accuracy(seen),
        "macro_f1": _of_macro_f1(seen.truth.astype(np.int64), seen.found.astype(np.int64)),
    }
    if seen.has_probabilities:
        scorer = Scorer(Metric.LOG_LOSS, seen.task, seen.truth)
        influences["log_loss"] = -scorer.rows(seen.outputs)
    if seen.has_probabilities and seen.is_known.all() and len(seen.names) <= _MOST_AREAS:
        influences["roc_auc"] = _of_areas(*seen.positives())
    return influences


def _of_labels(truth: Mask, found: Mask) -> dict[str, Numbers]:
    counts = [each.astype(np.float64) for each in (truth, found, truth & found)]
    by_label = [_of_f1(*columns) for columns in zip(*(each.T for each in counts), strict=True)]
    return {
        "accuracy": np.asarray((truth == found).mean(axis=1)),
        "micro_f1": _of_f1(*(each.sum(axis=1) for each in counts)),
        "macro_f1": np.mean(by_label, axis=0),
    }


def _of_regression(seen: Observed, measured: dict[str, float]) -> dict[str, Numbers]:
    error, truth = seen.residuals, seen.truth.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = error**2
        variance = variance_of(truth)
        influences = {"bias": error, "mean_absolute_error": np.abs(error)}
        root = measured["root_mean_squared_error"]
        if root > 0:
            influences["root_mean_squared_error"] = squares / (2 * root)
        if variance > 0:
            share = squares.mean() / variance**2
            influences["r2"] = share * (truth - truth.mean()) ** 2 - squares / variance
    return influences


def _of_f1(truth: Numbers, found: Numbers, right: Numbers) -> Numbers:
    """Returns what each row adds to an F1 of counts, 2 right / (truth + found)."""
    both = float((truth + found).mean())
    if both == 0:
        return np.zeros(len(truth))
    score = 2 * float(right.mean()) / both
    return np.asarray((2 * right - score * (truth + found)) / both)


def _of_macro_f1(truth: Integers, found: Integers) -> Numbers:
    """Returns what each row adds to the mean F1 of the classes that rows are of, or taken for."""
    rows = len(truth)
    classes, places = np.unique(np.concatenate([truth, found]), return_inverse=True)
    own, guess, right = places[:rows], places[rows:], truth == found
    both = np.bincount(places, minlength=len(classes)) / rows
    scores = 2 * np.bincount(own, right, len(classes)) / rows / both
    shares = scores / both
    return np.asarray((2 * right / both[own] - shares[own] - shares[guess]) / len(classes))


def _of_balanced_accuracy(seen: Observed) -> Numbers:
    right = 1 - seen.errors
    _, place, counts = np.unique(seen.truth, return_inverse=True, return_counts=True)
    recalls = np.bincount(place, right) / counts
    return np.asarray((right - recalls[place]) * seen.count / (counts[place] * len(counts)))


def _of_areas(truth: Mask, outputs: Outputs) -> Numbers:
    """Returns what each row adds to the mean area under the ROC curve (DeLong et al., 1988)."""
    supports = truth.sum(axis=0)
    present = np.flatnonzero((supports > 0) & (supports < len(truth)))
    chosen = present if truth.shape[1] > 2 else present[-1:]
    total = np.zeros(len(truth))
    for place in chosen.tolist():
        total += _of_area(truth[:, place], outputs[:, place])
    return total / max(1, len(chosen))


def _of_area(truth: Mask, scores: Numbers) -> Numbers:
    rows, support = len(truth), int(truth.sum())
    among_all = stats.rankdata(scores)
    placements = np.empty(rows)
    others = rows - support
    placements[truth] = (among_all[truth] - stats.rankdata(scores[truth])) / others
    placements[~truth] = 1 - (among_all[~truth] - stats.rankdata(scores[~truth])) / support
    area = placements[truth].mean()
    weights = np.where(truth, rows / support, rows / others)
    return np.asarray((placements - area) * weights)

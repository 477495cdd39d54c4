"""What the model predicts, however right: how often each class, or which values."""

from dataclasses import dataclass

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Integers, Numbers
from services.analyzer.domain.behaviour.summary import OutputShare
from services.analyzer.domain.models.model import Outputs

_MOST_SHOWN = 50
_BINS = 50
QUANTILES = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Answers:
    """What is predicted.

    Attributes:
        shares: By class or label, the most frequent first; empty for regression.
        quantiles: Of a regression's predictions, 21; empty for others.
        edges: Of the histogram of predictions, or of the probability of the predicted class.
        counts: Predictions in each bin; empty for classes without probabilities.
        true_counts: Targets in each bin; empty without, and for others than regressions.
    """

    shares: tuple[OutputShare, ...]
    quantiles: tuple[float, ...]
    edges: Numbers
    counts: Integers
    true_counts: Integers


def class_answers(
    task: Task,
    names: tuple[str, ...],
    outputs: Outputs,
    support: Integers | None,
    has_probabilities: bool = True,
) -> Answers:
    """Returns how often each class or label is predicted, and how surely.

    Args:
        task: Not REGRESSION.
        names: Of the outputs.
        outputs: Probabilities.
        support: Rows of each class or label; None without a target.
        has_probabilities: Whether the outputs are probabilities, not just names of classes.
    """
    if task is Task.MULTI_LABEL:
        predicted = (outputs >= 0.5).sum(axis=0)
        sure = np.maximum(outputs, 1 - outputs).reshape(-1)
    else:
        predicted = np.bincount(outputs.argmax(axis=1), minlength=len(names))
        sure = outputs.max(axis=1)
    order = np.argsort(-(predicted if support is None else support), kind="stable")[:_MOST_SHOWN]
    rows = len(outputs)
    shares = tuple(
        OutputShare(
            names[place],
            float(predicted[place] / rows),
            None if support is None else float(support[place] / rows),
        )
        for place in order.tolist()
    )
    edges = np.linspace(0, 1, _BINS + 1)
    nothing = np.empty(0, np.int64)
    counts = np.histogram(sure, edges)[0] if has_probabilities else nothing
    return Answers(shares, (), edges, counts, nothing)


def value_answers(found: Numbers, truth: Numbers | None) -> Answers:
    """Returns which values are predicted.

    Args:
        found: Predictions.
        truth: Targets; None without.
    """
    both = found if truth is None else np.concatenate([found, truth])
    low, high = np.quantile(both, [0.001, 0.999])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    true_counts = np.empty(0, np.int64) if truth is None else _counts(truth, edges)
    quantiles = tuple(np.quantile(found, QUANTILES).tolist())
    return Answers((), quantiles, edges, _counts(found, edges), true_counts)


def _counts(values: Numbers, edges: Numbers) -> Integers:
    """Returns counts of bins; what is outside counts with the outermost."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]

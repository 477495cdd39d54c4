"""Outputs of several models made one: means, calibration, decisions. Imports NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Below, models that count rows say 0 and mean "not seen".
SMALLEST_PROBABILITY = 1e-6


class Mean(StrEnum):
    """How outputs of several models are averaged."""

    PLAIN = "plain"
    """The outputs themselves."""
    LOGITS = "logits"
    """Logarithms of the probabilities of classes, of which a row has one."""
    ODDS = "odds"
    """Log odds of labels, of which a row has any number."""
    MEDIAN = "median"


def combined(outputs: Sequence[Floats], weights: Sequence[float], mean: Mean) -> Floats:
    """Returns the weighted mean of outputs, (rows, outputs).

    Args:
        outputs: Of at least one model, each (rows, outputs).
        weights: Of the models, at least one not 0. Those of log odds and logits count as they are,
            so that a sum other than 1 sharpens or softens; else only their shares count.
        mean: See `Mean`.
    """
    used = [(each, weight) for each, weight in zip(outputs, weights, strict=True) if weight]
    if mean is Mean.MEDIAN:
        return _median(np.stack([each for each, _ in used]), np.array([each for _, each in used]))
    if mean is Mean.PLAIN:
        total = sum(weight for _, weight in used)
        return _sum([(each, weight / total) for each, weight in used])
    logs = [(scores_of(each, mean), weight) for each, weight in used]
    return probabilities_of(_sum(logs), mean)


def scores_of(probabilities: npt.NDArray[np.floating], mean: Mean) -> Floats:
    """Returns log odds (`ODDS`) or logarithms (else) of probabilities, shaped alike."""
    logs: Floats = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY, dtype=np.float64))
    if mean is not Mean.ODDS:
        return logs
    return np.asarray(logs - np.log(np.maximum(1 - probabilities, SMALLEST_PROBABILITY)))


def probabilities_of(scores: Floats, mean: Mean) -> Floats:
    """Returns the probabilities of log odds (`ODDS`) or of logits (else), shaped alike."""
    if mean is Mean.ODDS:
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


class Calibration(Protocol):
    """Makes probabilities honest, or quantiles."""

    def apply(self, outputs: Floats, /) -> Floats:
        """Returns calibrated outputs, shaped alike, (rows, outputs)."""
        ...


@dataclass(frozen=True)
class ScaledScores:
    """Temperature, Platt's or vector scaling: `scale * score + offset`, and back.

    Sources: Platt, Probabilistic outputs for support vector machines (1999); Guo et al., On
    calibration of modern neural networks (2017).

    Attributes:
        scales: Of the outputs, (outputs,).
        offsets: Shaped alike.
        mean: `LOGITS` of classes, `ODDS` of labels.
    """

    scales: Floats
    offsets: Floats
    mean: str = Mean.LOGITS

    def apply(self, probabilities: Floats) -> Floats:
        """See `Calibration`."""
        mean = Mean(self.mean)
        return probabilities_of(scores_of(probabilities, mean) * self.scales + self.offsets, mean)


@dataclass(frozen=True)
class Steps:
    """Isotonic regression of the second of two classes, straight between its steps.

    Source: Zadrozny and Elkan, Transforming classifier scores into accurate multiclass
    probability estimates (2002).

    Attributes:
        before: Probabilities, ascending, (steps,).
        after: What they become, never descending, shaped alike.
    """

    before: Floats
    after: Floats

    def apply(self, probabilities: Floats) -> Floats:
        """See `Calibration`."""
        second = np.interp(probabilities[:, 1], self.before, self.after)
        return np.column_stack([1 - second, second])


@dataclass(frozen=True)
class Doubted:
    """Probabilities that are no surer than the rows behind them allow.

    Where `n` rows held no surprise, the next one is one with a chance of about 1 in `n + 2`
    (Laplace's rule of succession), and log loss makes much of surprises that seemed impossible.

    Attributes:
        share: Of surprises, at which nothing but the prior is known.
        prior: Of the outputs, (outputs,).
        first: Applied before; None for none.
    """

    share: float
    prior: Floats
    first: Calibration | None = None

    def apply(self, probabilities: Floats) -> Floats:
        """See `Calibration`."""
        found = probabilities if self.first is None else self.first.apply(probabilities)
        return np.asarray((1 - self.share) * found + self.share * self.prior)


@dataclass(frozen=True)
class Shifted:
    """Values that are all too low or too high by the same.

    Attributes:
        shift: What is added.
    """

    shift: float

    def apply(self, values: Floats) -> Floats:
        """See `Calibration`."""
        return np.asarray(values + self.shift)


def tilted(probabilities: Floats, tilts: Floats, is_exclusive: bool) -> Floats:
    """Returns probabilities of which the largest, or those of at least a half, are the decisions.

    Args:
        probabilities: Shape (rows, outputs).
        tilts: Factors of the odds of each class or label, (outputs,).
        is_exclusive: Whether a row has one class, as opposed to any number of labels.
    """
    raised = probabilities * tilts
    if is_exclusive:
        return np.asarray(raised / np.maximum(raised.sum(axis=1, keepdims=True), 1e-300))
    return np.asarray(raised / np.maximum(raised + 1 - probabilities, 1e-300))


def _sum(terms: Sequence[tuple[Floats, float]]) -> Floats:
    total = np.zeros(terms[0][0].shape)
    for values, weight in terms:
        total += weight * values
    return total


def _median(outputs: Floats, weights: Floats) -> Floats:
    """Returns the weighted median; where two values share the middle, their mean."""
    order = np.argsort(outputs, axis=0, kind="stable")
    ascending = np.take_along_axis(outputs, order, axis=0)
    shares = np.cumsum(weights[order], axis=0) / weights.sum()
    lower = np.argmax(shares >= 0.5 - 1e-9, axis=0)[None]
    upper = np.argmax(shares > 0.5 + 1e-9, axis=0)[None]
    middle = np.take_along_axis(ascending, lower, 0) + np.take_along_axis(ascending, upper, 0)
    return np.asarray(middle[0] / 2)

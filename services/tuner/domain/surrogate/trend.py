"""A smooth trend below a forest: what trees of few rows see as steps."""

from dataclasses import dataclass

import numpy as np

from services.tuner.domain.space.encoding import ABSENT, Positions, Rows, Vector

_STRENGTHS = 10.0 ** np.arange(-3, 3)
_MOST_PAIRED = 10


@dataclass(frozen=True)
class Trend:
    """A ridge regression on numbers, their squares and products, and on choices.

    Attributes:
        choices: See `Encoding.choices`.
        centre: Mean of the terms.
        weights: Of the terms; none where the trend does not help.
        level: Mean of the losses.
    """

    choices: Positions
    centre: Vector
    weights: Vector
    level: float

    def predicted(self, rows: Rows) -> Vector:
        """Returns the trend of each row."""
        if not self.weights.any():
            return np.full(len(rows), self.level)
        found: Vector = self.level + (_terms(rows, self.choices) - self.centre) @ self.weights
        return found


def trend_of(rows: Rows, losses: Vector, choices: Positions) -> Trend:
    """Fits it with the strength that predicts each row best from all others, or none at all."""
    terms = _terms(rows, choices)
    centre, level = terms.mean(axis=0), float(losses.mean())
    # Of the small matrix of the terms: that of the rows takes several times as long.
    sizes, axes = np.linalg.eigh((terms - centre).T @ (terms - centre))
    turned = (terms - centre) @ axes
    projected = turned.T @ (losses - level)
    best, weights = _error(losses - level, np.full(len(losses), 1 / len(losses))), None
    for strength in _STRENGTHS:
        shrunk = 1 / (np.maximum(sizes, 0.0) + strength)
        leverage = 1 / len(losses) + (turned**2) @ shrunk
        error = _error(losses - level - turned @ (shrunk * projected), leverage)
        if error < best:
            best, weights = error, axes @ (shrunk * projected)
    return Trend(choices, centre, np.zeros(terms.shape[1]) if weights is None else weights, level)


def _error(apart: Vector, leverage: Vector) -> float:
    """Returns the mean square error of each row if it were left out."""
    return float(np.mean((apart / np.maximum(1 - leverage, 1e-3)) ** 2))


def _terms(rows: Rows, choices: Positions) -> Rows:
    numbers = rows[:, choices == 0]
    is_there = numbers != ABSENT
    numbers = np.where(is_there, 2 * numbers - 1, 0.0)
    terms = [numbers, is_there * numbers**2, is_there.astype(np.float64)]
    if 1 < numbers.shape[1] <= _MOST_PAIRED:
        one, other = np.triu_indices(numbers.shape[1], 1)
        terms.append(numbers[:, one] * numbers[:, other])
    for place in np.flatnonzero(choices):
        middles = (np.arange(choices[place]) + 0.5) / choices[place]
        terms.append((np.abs(rows[:, [place]] - middles) < 1e-9).astype(np.float64))
    return np.concatenate(terms, axis=1)

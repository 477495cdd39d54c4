"""How much worse a smaller model does, told from few rows.

The truth of a few hundred rows says little of a tenth of a point of accuracy. What two classifiers
are how sure of says more: where they disagree, the expected loss is a difference of probabilities.
Neither's own can be trusted, so both are pooled, in such a way that the truth becomes likeliest.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]

_LEAST_SHARE = 1e-3
# How many rows' worth of belief there is that the original is right as it is.
_BELIEF = 5.0


@dataclass(frozen=True)
class Risk:
    """What may be lost, with one standard error.

    Attributes:
        accuracy: Share of rows that become wrong; 0 where values are answered.
        loss: Rise of the Brier score or the squared error, as a share of the original's.
    """

    accuracy: float
    loss: float

    def is_within(self, other: "Risk") -> bool:
        """Returns whether neither is larger."""
        return self.accuracy <= other.accuracy and self.loss <= other.loss


@dataclass(frozen=True)
class Regret:
    """How much likelier the original is to be right.

    Attributes:
        mean: Over rows: the accuracy that is lost.
        error: Its standard error: few rows, and what to make of them.
    """

    mean: float
    error: float


def regret_of(original: Floats, smaller: Floats, is_true: Floats) -> Regret:
    """Returns what accuracy is lost when a smaller classifier takes the place of the original.

    Probabilities are the logarithmic pool of both (Genest and Zidek, Combining probability
    distributions, 1986): a weighted product. Weights are those under which the truth is likeliest;
    few rows leave the original as it is.

    Args:
        original: Its probabilities, (rows, classes).
        smaller: Those of the other, (rows, classes).
        is_true: 1 at the class of each row, else 0, (rows, classes).
    """
    first, second = (np.log(np.maximum(each, _LEAST_SHARE)) for each in (original, smaller))
    signs = np.stack([first, second - first], axis=2)
    weights = _likeliest(signs, is_true)
    shares = np.exp(log_softmax(signs @ weights, axis=1))
    rows = np.arange(len(shares))
    own, other = original.argmax(axis=1), smaller.argmax(axis=1)
    found = shares[rows, own] - shares[rows, other]
    centred = signs - (shares[:, :, None] * signs).sum(axis=1, keepdims=True)
    changes = shares[:, :, None] * centred
    slopes = (changes[rows, own] - changes[rows, other]).mean(axis=0)
    known = _BELIEF * np.eye(2) + np.einsum("ncj,nck->jk", changes, centred)
    doubt = slopes @ np.linalg.solve(known, slopes)
    return Regret(float(found.mean()), float(np.sqrt(found.var() / len(found) + doubt)))


def _likeliest(signs: Floats, is_true: Floats) -> Floats:
    """Returns weights of signs, (2,), under which the truth is likeliest.

    Args:
        signs: For each class, (rows, classes, 2).
        is_true: 1 at the class of each row, else 0, (rows, classes).
    """
    start = np.array([1.0, 0.0])

    def unlikely(weights: Floats) -> tuple[float, Floats]:
        found = log_softmax(signs @ weights, axis=1)
        off = np.exp(found) * is_true.sum(axis=1, keepdims=True) - is_true
        moved = weights - start
        loss = _BELIEF / 2 * moved @ moved - (is_true * found).sum()
        return float(loss), np.einsum("nc,ncj->j", off, signs) + _BELIEF * moved

    return np.asarray(minimize(unlikely, start, jac=True, method="L-BFGS-B").x, np.float64)

"""Rows that estimators are given, how well they do on these, and what comes of reducing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_classifier

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

LEVELS = (0.02, 0.1, 0.3, 1.0)
"""Shares by which the loss may become worse, with its error."""


@dataclass(frozen=True)
class Rows:
    """Rows with their truth.

    Attributes:
        features: As the estimator takes them: an array, a sparse matrix or a data frame.
        truth: Classes as they are in `classes_`, or numbers, (rows,).
    """

    features: Any
    truth: Values

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Reduced:
    """An estimator that was made smaller.

    Attributes:
        name: How, in snake_case.
        estimator: Fitted, of the same class as the original.
        size: Nodes, coefficients, vectors or prototypes that are left.
        before: The same of the original.
        notes: What was done, in full sentences.
    """

    name: str
    estimator: Any
    size: int
    before: int
    notes: tuple[str, ...]


def losses_of(estimator: Any, rows: Rows) -> Floats:
    """Returns the loss of each row.

    It is the Brier score, the squared error, or 0 and 1 where there are no probabilities.
    """
    if not is_classifier(estimator):
        return np.square(np.asarray(estimator.predict(rows.features), np.float64) - rows.truth)
    if not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict(rows.features) != rows.truth, np.float64)
    return brier(estimator.predict_proba(rows.features), rows.truth, estimator.classes_)


def brier(shares: Floats, truth: Values, classes: Values) -> Floats:
    """Returns the squared distance of each row's probabilities to the truth, (rows,)."""
    found: Floats = np.square(shares - (truth[:, None] == classes[None])).sum(axis=1)
    return found


def most_worse(losses: Floats, full: Floats) -> float:
    """Returns by how much losses are worse than the original's on the same rows, one error more.

    The mean of the differences and its standard error: few rows must show more.
    """
    differences = losses - full
    if len(differences) < 2:
        return float("inf")
    return float(differences.mean() + differences.std(ddof=1) / np.sqrt(len(differences)))


def taken(features: Any, places: npt.NDArray[np.int64]) -> Any:
    """Returns some rows of an array, a sparse matrix or a data frame."""
    return features.iloc[places] if hasattr(features, "iloc") else features[places]


def named(estimator: Any, features: Any) -> Any:
    """Returns features with the names that the estimator was fitted with, if any."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or hasattr(features, "iloc"):
        return features
    return pd.DataFrame(features, columns=names)


@dataclass(frozen=True)
class Candidate:
    """A smaller estimator that was tried.

    Attributes:
        estimator: Fitted.
        size: What is left of it.
    """

    estimator: Any
    size: int


def accepted(candidates: Iterable[Candidate], estimator: Any, held_out: Rows) -> list[Candidate]:
    """Returns the smallest that is good enough, for each level of loss that is accepted.

    Args:
        candidates: In any order.
        estimator: The original.
        held_out: Rows that none of them learned from.
    """
    full = losses_of(estimator, held_out)
    loss = max(float(full.mean()), 1 / max(len(held_out), 1))
    found: dict[float, Candidate] = {}
    for each in candidates:
        worse = most_worse(losses_of(each.estimator, held_out), full)
        for level in LEVELS:
            best = found.get(level)
            if worse <= level * loss and (best is None or each.size < best.size):
                found[level] = each
    return [found[level] for level in LEVELS if level in found]


def differing(found: Iterable[Reduced]) -> Iterator[Reduced]:
    """Yields those that are smaller than the original and than the one before them."""
    last: int | None = None
    for each in found:
        if each.size < (each.before if last is None else last):
            last = each.size
            yield each

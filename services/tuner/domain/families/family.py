"""What a family of models is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.tuner.domain.problem import Outputs, Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space


class OutOfTimeError(Exception):
    """Time ended before there was a model of any use."""


@dataclass(frozen=True)
class Fold:
    """Rows to learn from, and others that may tell when to stop.

    Attributes:
        features: See `Problem.features`.
        truth: See `Problem.truth`.
        weights: See `Problem.weights`.
        watched_features: Rows that are not learned from; None for none.
        watched_truth: Their truth.
    """

    features: pd.DataFrame
    truth: Truth
    weights: npt.NDArray[np.float64] | None = None
    watched_features: pd.DataFrame | None = None
    watched_truth: Truth | None = None


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted.

    Attributes:
        estimator: A scikit-learn estimator or pipeline over `Problem.features`, which skops can
            keep: `predict_proba` or `predict`.
        settings: What fitting found out, for instance the number of rounds, so that all rows can
            be learned without watched ones.
        is_cut_short: Whether time ended before it was done.
    """

    estimator: Any
    settings: Configuration
    is_cut_short: bool = False


TimeLeft = Callable[[], float]
"""Returns the seconds that are left; a family that learns in rounds asks between them."""


class Family(Protocol):
    """Models that differ in their settings only. Holds no state."""

    @property
    def name(self) -> str:
        """As users write it, for instance `random_forest`."""
        ...

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """The kinds of problems that it learns."""
        ...

    def fits(self, problem: Problem) -> str:
        """Returns why it is not for a problem, one sentence; empty where it is."""
        ...

    def space(self, problem: Problem) -> Space:
        """Returns its settings, those of the preparation included; the default comes first."""
        ...

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns how long a fit of all rows takes if nothing stops it: seconds, roughly.

        It puts candidates in order, and keeps what cannot end from being begun.
        """
        ...

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """Learns.

        Args:
            problem: What the columns and outputs are; its rows are not looked at.
            fold: The rows. Some classes may be without rows: outputs have a column for each
                nevertheless (see `outputs_of`).
            configuration: Of `space`.
            seed: Of all chance.
            time_left: See `TimeLeft`. What is learned until then is returned if it is of use.

        Raises:
            OutOfTimeError: Nothing of use was learned in time.
        """
        ...


def outputs_of(estimator: Any, features: pd.DataFrame, problem: Problem) -> Outputs:
    """Returns outputs as metrics take them, (rows, outputs) or (rows, 1).

    Args:
        estimator: Fitted.
        features: See `Problem.features`.
        problem: What the outputs are.
    """
    if problem.kind is ProblemKind.REGRESSION:
        return np.asarray(estimator.predict(features), np.float64).reshape(len(features), -1)
    found = estimator.predict_proba(features)
    if problem.kind is ProblemKind.MULTI_LABEL:
        return _label_probabilities(found, estimator.classes_)
    return _by_class(np.asarray(found, np.float64), estimator.classes_, len(problem.outputs))


def _label_probabilities(found: Any, known: Any) -> Outputs:
    if isinstance(found, list):
        return np.column_stack([_of_one(*each) for each in zip(found, known, strict=True)])
    return np.asarray(found, np.float64)


def _of_one(found: npt.NDArray[np.float64], known: Sequence[int]) -> npt.NDArray[np.float64]:
    """Returns the probabilities that a label is there; some are always or never."""
    return found[:, 1] if len(known) > 1 else np.full(len(found), float(known[0]))


def _by_class(found: Outputs, known: Sequence[int], count: int) -> Outputs:
    if found.shape[1] == count:
        return found
    outputs = np.zeros((len(found), count))
    outputs[:, np.asarray(known, np.int64)] = found
    return outputs

"""What a metric is."""

from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.tuner.domain.problem import Outputs, ProblemKind, Truth


class Needs(StrEnum):
    """What a metric looks at."""

    PROBABILITIES = "probabilities"
    DECISIONS = "decisions"
    VALUES = "values"


class Metric(Protocol):
    """A way to say how good outputs are, as a loss: smaller is better, finite wherever defined."""

    @property
    def name(self) -> str:
        """As users write it, for instance `roc_auc`."""
        ...

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """The kinds of problems that it fits."""
        ...

    @property
    def needs(self) -> Needs:
        """What it looks at."""
        ...

    def loss(
        self, truth: Truth, outputs: Outputs, weights: npt.NDArray[np.float64] | None = None
    ) -> float:
        """Returns the loss.

        Args:
            truth: As `Problem.truth`.
            outputs: Of classes and labels probabilities, (rows, outputs); of a regression values,
                (rows, 1).
            weights: Of the rows; all alike by default.
        """
        ...

    def shown(self, loss: float) -> float:
        """Returns what people know by the metric's name, for instance 0.91 for an AUC."""
        ...

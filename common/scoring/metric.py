"""What a metric is."""

from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.scoring.arrays import Outputs, Truth
from common.scoring.kinds import ProblemKind


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
            truth: What is true of the rows.
            outputs: What a model gives for them.
            weights: Of the rows; all alike by default.
        """
        ...

    def shown(self, loss: float) -> float:
        """Returns what people know by the metric's name, for instance 0.91 for an AUC."""
        ...

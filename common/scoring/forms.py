"""The two forms of metrics: means over rows, and those that take all rows together."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from common.scoring.arrays import Outputs, Truth
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Needs
from common.scoring.rows import RowValues, counted, mean_of

CLASSES = frozenset({ProblemKind.BINARY, ProblemKind.MULTICLASS})
LABELS = frozenset({ProblemKind.MULTI_LABEL})
VALUES = frozenset({ProblemKind.REGRESSION})

RowMeasure = Callable[[Truth, Outputs, RowValues | None], RowValues]
Gain = Callable[[Truth, Outputs, RowValues | None], float]


@runtime_checkable
class RowLosses(Protocol):
    """A metric whose loss follows from a mean over rows, so that two models can be compared by row.

    Others, the AUC for instance, are not instances of it.
    """

    def row_losses(
        self, truth: Truth, outputs: Outputs, weights: RowValues | None = None
    ) -> RowValues:
        """Returns each row's share, (rows,): `of_mean` of their weighted mean is the loss.

        Args:
            truth: As `Problem.truth`.
            outputs: As of `Metric.loss`.
            weights: Of the rows. Only those metrics look at them that measure rows against
                all others: balanced accuracy and R2.
        """
        ...

    def of_mean(self, mean: float) -> float:
        """Returns the loss for a weighted mean of row losses; monotonic."""
        ...


@dataclass(frozen=True)
class MeanMetric:
    """A metric that is a mean over rows; see `Metric` and `RowLosses`.

    Attributes:
        name: See `Metric.name`.
        kinds: See `Metric.kinds`.
        needs: See `Metric.needs`.
        measure: Gives the row losses.
        is_gain: Whether people know it as 1 minus the loss.
        is_root: Whether the loss is the root of the mean.
        level: The quantile of values that has the smallest loss; None for what is no quantile.
    """

    name: str
    kinds: frozenset[ProblemKind]
    needs: Needs
    measure: RowMeasure
    is_gain: bool = False
    is_root: bool = False
    level: float | None = None

    def row_losses(
        self, truth: Truth, outputs: Outputs, weights: RowValues | None = None
    ) -> RowValues:
        """See `RowLosses.row_losses`."""
        return self.measure(truth, outputs, counted(weights))

    def of_mean(self, mean: float) -> float:
        """See `RowLosses.of_mean`."""
        return math.sqrt(mean) if self.is_root else mean

    def loss(self, truth: Truth, outputs: Outputs, weights: RowValues | None = None) -> float:
        """See `Metric.loss`."""
        return self.of_mean(mean_of(self.row_losses(truth, outputs, weights), weights))

    def shown(self, loss: float) -> float:
        """See `Metric.shown`."""
        return 1 - loss if self.is_gain else loss


@dataclass(frozen=True)
class WholeMetric:
    """A metric of all rows together, at most 1, which the best outputs reach; see `Metric`.

    Attributes:
        name: See `Metric.name`.
        kinds: See `Metric.kinds`.
        needs: See `Metric.needs`.
        gain: Gives what people know; the loss is 1 minus that.
    """

    name: str
    kinds: frozenset[ProblemKind]
    needs: Needs
    gain: Gain

    def loss(self, truth: Truth, outputs: Outputs, weights: RowValues | None = None) -> float:
        """See `Metric.loss`."""
        return 1 - self.gain(truth, outputs, counted(weights))

    def shown(self, loss: float) -> float:
        """See `Metric.shown`."""
        return 1 - loss

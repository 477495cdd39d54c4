"""What mistakes cost, in the caller's own unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import InvalidFieldError
from common.scoring.arrays import Outputs, Positions, Truth
from common.scoring.decisions import most_likely
from common.scoring.forms import CLASSES
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Needs
from common.scoring.rows import RowValues, mean_of
from common.wording import one_of


@dataclass(frozen=True, eq=False)
class CostMatrix:
    """Mean cost of a row where decisions are those of least expected cost (Elkan 2001).

    A `Metric` with `RowLosses`.

    Attributes:
        costs: Of each true class (rows) and decision (columns), any finite numbers; what is earned
            is negative.
    """

    costs: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """See `Metric.name`."""
        return "cost_matrix"

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """See `Metric.kinds`."""
        is_binary = len(self.costs) == 2
        return frozenset({ProblemKind.BINARY if is_binary else ProblemKind.MULTICLASS})

    @property
    def needs(self) -> Needs:
        """See `Metric.needs`."""
        return Needs.PROBABILITIES

    def decisions(self, outputs: Outputs) -> Positions:
        """Returns the columns of least expected cost, (rows,); of equals the first."""
        return most_likely(-(outputs @ self.costs))

    def row_losses(
        self, truth: Truth, outputs: Outputs, weights: RowValues | None = None
    ) -> RowValues:
        """Returns the costs, (rows,)."""
        return self.costs[truth.astype(np.int64, copy=False), self.decisions(outputs)]

    def of_mean(self, mean: float) -> float:
        """See `RowLosses.of_mean`."""
        return mean

    def loss(self, truth: Truth, outputs: Outputs, weights: RowValues | None = None) -> float:
        """See `Metric.loss`."""
        return mean_of(self.row_losses(truth, outputs), weights)

    def shown(self, loss: float) -> float:
        """See `Metric.shown`."""
        return loss


@dataclass(frozen=True, eq=False)
class CostColumn:
    """Mean cost of a row where each has a cost of its own if the wrong class is chosen.

    A `Metric` with `RowLosses` for the rows it has costs of: see `on_rows`. Whatever a row's
    cost, the most likely class is the decision of least expected cost.

    Attributes:
        costs: Of a wrong decision, at least 0, (rows,).
    """

    costs: RowValues

    @property
    def name(self) -> str:
        """See `Metric.name`."""
        return "cost_column"

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """See `Metric.kinds`."""
        return CLASSES

    @property
    def needs(self) -> Needs:
        """See `Metric.needs`."""
        return Needs.DECISIONS

    def take(self, rows: Positions) -> "CostColumn":
        """Returns the metric of some of the rows."""
        return CostColumn(self.costs[rows])

    def row_losses(
        self, truth: Truth, outputs: Outputs, weights: RowValues | None = None
    ) -> RowValues:
        """Returns the costs, (rows,).

        Raises:
            ValueError: These are not as many rows as there are costs.
        """
        if len(truth) != len(self.costs):
            raise ValueError(f"There are costs of {len(self.costs)} rows, not of {len(truth)}.")
        return np.asarray(self.costs * (most_likely(outputs) != truth))

    def of_mean(self, mean: float) -> float:
        """See `RowLosses.of_mean`."""
        return mean

    def loss(self, truth: Truth, outputs: Outputs, weights: RowValues | None = None) -> float:
        """See `Metric.loss`."""
        return mean_of(self.row_losses(truth, outputs), weights)

    def shown(self, loss: float) -> float:
        """See `Metric.shown`."""
        return loss


def cost_matrix_of(
    costs: Sequence[Sequence[float]], class_count: int, field: str = "metric"
) -> CostMatrix:
    """Returns the metric for costs that a user gave.

    Args:
        costs: A row for each true class, in it a cost for each decision.
        class_count: Number of classes.
        field: Path of the costs in the request.

    Raises:
        InvalidFieldError: They are not a square of finite numbers, or no decision matters.
    """
    size = f"{class_count} rows of {class_count} numbers each, a row for each true class"
    lengths = sorted({len(each) for each in costs})
    if len(costs) != class_count or lengths != [class_count]:
        found_sizes = one_of([str(each) for each in lengths] or ["0"])
        raise InvalidFieldError(field, f"must be {size}, not {len(costs)} of {found_sizes}.")
    found = np.asarray(costs, np.float64)
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise InvalidFieldError(
            field, f"must be finite numbers; in row {row} stands {found[row, column]}."
        )
    if (found == found[:, :1]).all():
        raise InvalidFieldError(
            field, "all decisions cost the same; give wrong ones a higher cost than right ones."
        )
    return CostMatrix(found)


def cost_column_of(costs: npt.ArrayLike, field: str = "metric") -> CostColumn:
    """Returns the metric for a column of costs.

    Args:
        costs: Of each row, (rows,).
        field: Path of the column's name in the request.

    Raises:
        InvalidFieldError: Some cost is missing, negative or infinite, or all are 0.
    """
    found = np.asarray(costs, np.float64)
    wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if len(wrong):
        raise InvalidFieldError(
            field,
            f"costs must be numbers of at least 0 in each row; {len(wrong)} are not, the first in"
            f" row {wrong[0]}.",
        )
    if not found.any():
        raise InvalidFieldError(field, "all costs are 0; give some rows a cost.")
    return CostColumn(found)

"""Losses with row weights, and metrics as sums that add up over batches and workers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from common.models.preprocessing import Target
from services.trainer.domain.criteria import (
    Criterion,
    Shares,
    class_criterion,
    costs_of,
    label_criterion,
    value_criterion,
)
from services.trainer.domain.forecasts.objective import Forecasting, forecast_criterion
from services.trainer.domain.loss import CostMatrix, Loss, check_labels
from services.trainer.domain.plain_objectives import (
    Classification,
    MultiLabel,
    Regression,
    ratio,
)
from services.trainer.domain.specification import FIELD


class Objective(Protocol):
    """What a network is trained for.

    Attributes:
        sums: Number of sums over rows that the metrics are made of; the first is the sum of
            weights, the second that of weighted plain losses in the network's units.
    """

    sums: int

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of each row that training makes small, shape (rows,).

        Args:
            output: What the network gave, shape (rows, outputs).
            target: Class codes, or standardised values, shape (rows,); shares of classes, or truth
                of labels, 0 to 1, shape (rows, outputs); of forecasts see `Forecasting`.
        """
        ...

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns how far outputs are from a teacher's, shape (rows,), in the units of losses.

        Args:
            output: What the network gave, shape (rows, outputs).
            said: What its teacher gave, of the same shape.
            temperature: What outputs are divided by, where there are classes.
        """
        ...

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns the sums over these rows, shape (sums,); see `losses` for the arguments."""
        ...

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns the metrics that sums over all rows stand for, in the target's own units."""
        ...


class ChosenLoss:
    """Another loss than the plain one, whose metrics stay; one more metric, `objective`."""

    def __init__(self, plain: Objective, criterion: Criterion) -> None:
        """Takes the place of an objective.

        Args:
            plain: The one of the task.
            criterion: What is made small instead.
        """
        self._plain = plain
        self._criterion = criterion
        self.sums = plain.sums + 1

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the chosen loss of each row."""
        return self._criterion(output, target)

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns what the plain objective does."""
        return self._plain.distances(output, said, temperature)

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns the sums of the plain objective and that of weighted chosen losses."""
        plain = self._plain.losses(output, target)
        sums = self._plain.add_up(output, plain, target, weight)
        return torch.cat([sums, (weight @ losses).unsqueeze(0)])

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns the metrics of the plain objective and the mean chosen loss."""
        *plain, chosen = sums
        return {**self._plain.metrics(plain), "objective": ratio(chosen, sums[0])}


@dataclass(frozen=True)
class Objectives:
    """The same for rows as they are drawn and as they are: two where classes are drawn evenly.

    Attributes:
        learning: Of training rows, as steps draw them.
        measuring: Of rows as they are: each class has the weight that drawing gives it.
    """

    learning: Objective
    measuring: Objective


class ClassShares(Protocol):
    """Tells how frequent classes or labels are among the training rows."""

    def __call__(self, *, evenly: bool = False) -> Shares:
        """Returns the share of each one in the weight of the training rows, shape (classes,).

        Args:
            evenly: Whether their rows are drawn equally often.
        """
        ...


def make_objectives(target: Target, loss: Loss | None, class_shares: ClassShares) -> Objectives:
    """Returns the objectives for a target.

    Args:
        target: The target.
        loss: Resolved; None for the plain loss of the task.
        class_shares: What classes there are among the training rows.

    Raises:
        InvalidFieldError: The loss names classes that the target does not have, or not all.
    """
    if loss is None:
        plain = _plain(target)
        return Objectives(plain, plain)
    if not target.has_probabilities:
        of_values = forecast_criterion if target.task == "forecasting" else value_criterion
        chosen = ChosenLoss(_plain(target), of_values(loss))
        return Objectives(chosen, chosen)
    check_labels(loss, target.classes, f"{FIELD}.loss")
    if target.task == "multi_label":
        labels = label_criterion(loss, target.classes, class_shares())
        chosen = ChosenLoss(_plain(target), labels)
        return Objectives(chosen, chosen)
    plain = _plain(target, loss.cost_matrix)
    drawn, natural = class_shares(evenly=loss.balanced_sampling), class_shares()
    criterion = class_criterion(loss, target.classes, drawn)
    known = np.where(natural > 0, natural, 1.0)
    ratios = torch.from_numpy(np.where(natural > 0, drawn / known, 1.0).astype(np.float32))
    measuring = replace(criterion, factors=criterion.factors * ratios)
    return Objectives(ChosenLoss(plain, criterion), ChosenLoss(plain, measuring))


def _plain(target: Target, matrix: CostMatrix | None = None) -> Objective:
    """Returns the objective of a task as it is without a chosen loss.

    Args:
        target: The target.
        matrix: What decisions for its classes cost; None where that is not told.
    """
    if target.task == "regression":
        return Regression(target.scale)
    if target.task == "multi_label":
        return MultiLabel(target.outputs)
    if target.task == "forecasting":
        return Forecasting()
    costs = None
    if matrix is not None:
        costs = torch.from_numpy(costs_of(matrix, target.classes).astype(np.float32))
    return Classification(target.outputs, costs)

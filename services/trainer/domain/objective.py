"""Losses with row weights, and metrics as sums that add up over batches and workers."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from common.models.preprocessing import Target
from common.networks.distillation import class_distances


class Objective(Protocol):
    """What a network is trained for.

    Attributes:
        sums: Number of sums over rows that the metrics are made of; the first is the sum of
            weights, the second that of weighted losses in the network's units.
    """

    sums: int

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of each row, shape (rows,).

        Args:
            output: What the network gave, shape (rows, outputs).
            target: Class codes, or standardised values; shape (rows,).
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


class Classification:
    """Cross-entropy; metrics `loss` and `accuracy`."""

    sums = 3

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the cross-entropy of each row."""
        return functional.cross_entropy(output, target, reduction="none")

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns the divergence of each row from the teacher's probabilities."""
        return class_distances(output, said, temperature)

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns sums of weights, weighted losses and weights of rows that are right."""
        is_right = output.argmax(dim=1) == target
        return torch.stack([weight.sum(), weight @ losses, weight @ is_right.to(weight.dtype)])

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns mean loss and share of rows that are right."""
        total, loss, right = sums
        return {"loss": _ratio(loss, total), "accuracy": _ratio(right, total)}


class Regression:
    """Squared error; metrics `loss` (mean squared error), `mean_absolute_error` and `r2`."""

    sums = 5

    def __init__(self, scale: float) -> None:
        """Takes the units.

        Args:
            scale: What targets were divided by; metrics are in the target's own units.
        """
        self._scale = scale

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the squared error of each row."""
        return (output.squeeze(1) - target).square()

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns the squared difference to the teacher of each row."""
        return (output - said).squeeze(1).square()

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns weighted sums of 1, loss, absolute error, target and squared target."""
        return torch.stack(
            [
                weight.sum(),
                weight @ losses,
                weight @ losses.sqrt(),
                weight @ target,
                weight @ target.square(),
            ]
        )

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns mean squared error, mean absolute error and the share of variance explained."""
        total, squared, absolute, target, target_squared = sums
        variation = target_squared - _ratio(target * target, total)
        return {
            "loss": _ratio(squared, total) * self._scale**2,
            "mean_absolute_error": _ratio(absolute, total) * self._scale,
            "r2": 1 - _ratio(squared, variation),
        }


def make_objective(target: Target) -> Objective:
    """Returns the objective for a target."""
    if target.task == "classification":
        return Classification()
    return Regression(target.scale)


def _ratio(value: float, total: float) -> float:
    return value / total if total > 0 else 0.0

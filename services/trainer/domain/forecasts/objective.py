"""The loss of forecasts and their metrics, as sums that add up over batches and workers."""

from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from services.trainer.domain.loss import Loss
from services.trainer.domain.plain_objectives import ratio

WANTED, TRUTH, SCALE, ERROR_SCALE = range(4)
"""Places along the second axis of targets: what outputs should be, the true values, what outputs
are multiplied by, what errors are divided by in MASE."""


class Forecasting:
    """Absolute error of scaled values; `mae`, `rmse`, `smape` and `mase` in the target's units.

    Targets have the shape (rows, 4, horizon), see `WANTED`. `loss` is in deviations of each window,
    so that large and small series count alike.
    """

    sums = 6

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the mean absolute error of each forecast."""
        return (output - target[:, WANTED]).abs().mean(dim=1)

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns the mean squared difference to the teacher of each forecast."""
        return (output - said).square().mean(dim=1)

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns weighted sums of 1, loss, absolute, squared, relative and scaled error."""
        truth = target[:, TRUTH]
        error = (output - target[:, WANTED]) * target[:, SCALE]
        size = truth.abs() + (truth + error).abs()
        # Where both are 0 there is no error.
        relative = 2 * error.abs() / torch.where(size == 0, 1.0, size)
        scaled = error.abs() / target[:, ERROR_SCALE]
        means = [each.mean(dim=1) for each in (error.abs(), error.square(), relative, scaled)]
        return torch.stack([weight.sum(), weight @ losses, *(weight @ each for each in means)])

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns the metrics that sums stand for.

        MASE is that of Hyndman and Koehler, Another look at measures of forecast accuracy (2006),
        sMAPE runs from 0 to 2.
        """
        total, loss, absolute, squared, relative, scaled = sums
        return {
            "loss": ratio(loss, total),
            "mae": ratio(absolute, total),
            "rmse": sqrt(ratio(squared, total)),
            "smape": ratio(relative, total),
            "mase": ratio(scaled, total),
        }


def forecast_criterion(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns the chosen loss of forecasts; errors are in deviations of each window."""

    def squared(output: Tensor, wanted: Tensor) -> Tensor:
        return (output - wanted).square()

    def huber(output: Tensor, wanted: Tensor) -> Tensor:
        delta = loss.huber_delta or 1.0
        return functional.huber_loss(output, wanted, reduction="none", delta=delta)

    of_errors = huber if loss.regression == "huber" else squared
    return lambda output, target: of_errors(output, target[:, WANTED]).mean(dim=1)

"""The plain loss of each task and its metrics, as sums that add up over batches and workers.

See `services.trainer.domain.objective.Objective` for what they have in common.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from common.networks.distillation import class_distances, label_distances

_ONE_HALF = 0.0
"""Logit of the probability from which on a label is decided for."""


def ratio(value: float, total: float) -> float:
    """Returns a share, 0 of nothing."""
    return value / total if total > 0 else 0.0


class Classification:
    """Cross-entropy; metrics `loss`, `accuracy`, `balanced_accuracy`, with costs `mean_cost`."""

    def __init__(self, classes: int, costs: Tensor | None = None) -> None:
        """Takes what decisions are measured by.

        Args:
            classes: Number of classes.
            costs: What decisions cost, shape (true classes, decisions); None where that is not
                told.
        """
        self._classes = classes
        self._costs = costs
        self.sums = 3 + 2 * classes + (costs is not None)

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the cross-entropy of each row."""
        return functional.cross_entropy(output, target, reduction="none")

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns the divergence of each row from the teacher's probabilities."""
        return class_distances(output, said, temperature)

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns sums of weights, losses and rows that are right; by class; costs at the end.

        Of each class these are the weights of its rows, and of those of them that are right. Of a
        row that is a blend the class with the largest share is its class.
        """
        truth = target if target.dim() == 1 else target.argmax(dim=1)
        found = output.argmax(dim=1)
        right = weight * (found == truth).to(weight.dtype)
        none = weight.new_zeros(self._classes)
        sums = [
            torch.stack([weight.sum(), weight @ losses, right.sum()]),
            none.index_add(0, truth, weight),
            none.index_add(0, truth, right),
        ]
        if self._costs is not None:
            costs = self._costs.to(weight.device)[truth, found]
            sums.append((weight @ costs).unsqueeze(0))
        return torch.cat(sums)

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns mean loss, share of rows that are right, mean recall of classes, mean cost.

        Classes without rows have no recall.
        """
        total, loss, right, *rest = sums
        had, found = rest[: self._classes], rest[self._classes : 2 * self._classes]
        recalls = [ratio(*each) for each in zip(found, had, strict=True) if each[1] > 0]
        metrics = {
            "loss": ratio(loss, total),
            "accuracy": ratio(right, total),
            "balanced_accuracy": ratio(sum(recalls), len(recalls)),
        }
        if self._costs is not None:
            metrics["mean_cost"] = ratio(rest[-1], total)
        return metrics


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
        variation = target_squared - ratio(target * target, total)
        return {
            "loss": ratio(squared, total) * self._scale**2,
            "mean_absolute_error": ratio(absolute, total) * self._scale,
            "r2": 1 - ratio(squared, variation),
        }


class MultiLabel:
    """Binary cross-entropy, its mean over labels, and what decisions at one half are worth.

    `accuracy` is the share of rows with every label right, `hamming_loss` that of single labels
    which are wrong, `f1_macro` the mean over labels of F1 (0 for a label that nobody has and nobody
    is given), `f1_micro` the F1 of all labels counted together.
    """

    def __init__(self, labels: int) -> None:
        """Takes the number of labels."""
        self._labels = labels
        self.sums = 4 + 3 * labels

    def losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the mean cross-entropy of each row."""
        losses = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return losses.mean(dim=1)

    def distances(self, output: Tensor, said: Tensor, temperature: float) -> Tensor:
        """Returns the mean divergence of each row from the teacher's probabilities."""
        return label_distances(output, said, temperature)

    def add_up(self, output: Tensor, losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Returns sums of weights, losses, rows all right, shares of labels wrong; then by label.

        Of each label these are the weights of rows that have it and are given it, of those that
        have it, and of those that are given it.
        """
        # Of a row that is a blend a label counts from one half on.
        has = (target >= 0.5).to(target.dtype)
        given = (output > _ONE_HALF).to(target.dtype)
        is_wrong = (has - given).abs()
        rows = [
            weight.sum(),
            weight @ losses,
            weight @ (is_wrong.sum(dim=1) == 0).to(weight.dtype),
            weight @ is_wrong.mean(dim=1),
        ]
        by_label = weight @ torch.cat([has * given, has, given], dim=1)
        return torch.cat([torch.stack(rows), by_label])

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns mean loss, subset accuracy, Hamming loss and averages of F1."""
        total, loss, right, wrong, *by_label = sums
        count = self._labels
        pieces = by_label[:count], by_label[count : 2 * count], by_label[2 * count :]
        both, has, given = (sum(each) for each in pieces)
        scores = [_f1(*each) for each in zip(*pieces, strict=True)]
        return {
            "loss": ratio(loss, total),
            "accuracy": ratio(right, total),
            "hamming_loss": ratio(wrong, total),
            "f1_macro": sum(scores) / count,
            "f1_micro": _f1(both, has, given),
        }


def _f1(both: float, has: float, given: float) -> float:
    """Returns F1 from the weights of what is right, of what is there and of what is said."""
    return ratio(2 * both, has + given)

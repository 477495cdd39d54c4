"""Losses of rows that a run may choose in place of the plain one of its task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from services.trainer.domain.loss import CostMatrix, Loss

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and targets as an `Objective` does; returns the loss of each row, (rows,).

One of classes takes shares of classes, (rows, classes), as well: a loss is the sum of the losses of
the classes, each times its share.
"""
Shares = npt.NDArray[np.float64]
_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class ClassCriterion:
    """Cross-entropy in several variations.

    Attributes:
        factors: What losses are multiplied by, of each class, shape (classes,).
        smoothing: Share of the truth that is dealt to all classes alike (Szegedy et al., 2016).
        gamma: Exponent of the focal factor (Lin et al., Focal loss, 2017); 0 for none.
        savings: What counts as the truth of each class, shape (classes, classes); None for the
            class alone. See `savings_of`.
    """

    factors: Tensor
    smoothing: float = 0.0
    gamma: float = 0.0
    savings: Tensor | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """See `Criterion`."""
        if target.dim() > 1:
            return (target * self._of_each_class(output)).sum(dim=1)
        wanted = target if self.savings is None else self.savings.to(target.device)[target]
        losses = functional.cross_entropy(
            output, wanted, reduction="none", label_smoothing=self.smoothing
        )
        return _focused(losses, self.gamma) * self.factors.to(target.device)[target]

    def _of_each_class(self, output: Tensor) -> Tensor:
        """Returns the loss of each row were each class its truth, shape (rows, classes)."""
        classes = output.shape[1]
        wanted = torch.eye(classes) if self.savings is None else self.savings
        wanted = wanted.to(output.device)
        wanted = (1 - self.smoothing) * wanted + self.smoothing / classes
        losses = -output.log_softmax(dim=1) @ wanted.T
        return _focused(losses, self.gamma) * self.factors.to(output.device)


@dataclass(frozen=True, eq=False)
class LabelCriterion:
    """Binary cross-entropy in several variations, its mean over labels.

    Attributes:
        without: What losses of rows without each label are multiplied by, shape (labels,).
        within: The same of rows that have it.
        smoothing: Share of the truth that is dealt to both, with and without.
        gamma: Exponent of the focal factor; 0 for none.
    """

    without: Tensor
    within: Tensor
    smoothing: float = 0.0
    gamma: float = 0.0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """See `Criterion`."""
        wanted = target * (1 - self.smoothing) + self.smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(output, wanted, reduction="none")
        without, within = self.without.to(target.device), self.within.to(target.device)
        factors = torch.lerp(without, within, target)
        return (_focused(losses, self.gamma) * factors).mean(dim=1)


def label_criterion(loss: Loss, labels: Sequence[str], shares: Shares) -> LabelCriterion:
    """Returns the criterion for labels.

    Factors of each label are scaled to a mean of 1 over the training rows.

    Args:
        loss: Resolved; its labels are known.
        labels: In the order of outputs.
        shares: Share of rows with each label in the weight of the training rows, shape (labels,).
    """
    ratios = np.array([loss.class_weights.get(name, 1.0) for name in labels])
    if loss.class_weighting == "balanced":
        # A label that all or no training rows have cannot be balanced.
        is_mixed = (shares > 0) & (shares < 1)
        ratios = ratios * np.where(is_mixed, (1 - shares) / np.where(is_mixed, shares, 1.0), 1.0)
    without = 1 / (shares * ratios + 1 - shares)
    return LabelCriterion(
        without=_tensor(without),
        within=_tensor(ratios * without),
        smoothing=loss.label_smoothing,
        gamma=loss.focal_gamma,
    )


def _focused(losses: Tensor, gamma: float) -> Tensor:
    """Returns losses times (1 - p)^gamma, p being the probability of what is true."""
    if gamma == 0:
        return losses
    # Where 1 - p rounds to 0 the power has no finite slope.
    return losses * (-torch.expm1(-losses)).clamp(min=_SMALLEST) ** gamma


def class_criterion(loss: Loss, classes: Sequence[str], shares: Shares) -> ClassCriterion:
    """Returns the criterion for classes.

    Factors are scaled to a mean of 1 over the training rows, so that the learning rate keeps its
    meaning: only their ratios count.

    Args:
        loss: Resolved; its labels are known.
        classes: Labels in the order of outputs.
        shares: Share of each class in the weight of the training rows, shape (classes,).
    """
    factors = np.array([loss.class_weights.get(name, 1.0) for name in classes])
    if loss.class_weighting == "balanced":
        # A class without training rows has no frequency: it counts as an average one.
        factors = factors / np.where(shares > 0, shares * np.count_nonzero(shares), 1.0)
    savings = None if loss.cost_matrix is None else savings_of(loss.cost_matrix, classes)
    worth = factors if savings is None else factors * savings.sum(axis=1)
    mean = float(shares @ worth)
    return ClassCriterion(
        factors=_tensor(factors / (mean if mean > 0 else 1.0)),
        smoothing=loss.label_smoothing,
        gamma=loss.focal_gamma,
        savings=None if savings is None else _tensor(savings),
    )


def savings_of(matrix: CostMatrix, classes: Sequence[str]) -> Shares:
    """Returns what each decision saves against the worst one, shape (true classes, decisions).

    A row whose truth is y counts as one of each class k with this weight: then the class of the
    largest probability is the decision of least expected cost. Unlike the expected cost of the
    probabilities themselves this is convex in the outputs, and the gradient does not vanish where
    the network is surely wrong.

    Source: Abe, Zadrozny and Langford, An iterative method for multi-class cost-sensitive learning
    (KDD 2004), its expansion of the data.

    Args:
        matrix: A row for each class.
        classes: Labels in the order of outputs.
    """
    costs = costs_of(matrix, classes)
    saved: Shares = costs.max(axis=1, keepdims=True) - costs
    return saved


def costs_of(matrix: CostMatrix, classes: Sequence[str]) -> Shares:
    """Returns what each decision costs, shape (true classes, decisions); see `savings_of`."""
    rows = {row.truth: row.costs for row in matrix.rows}
    return np.array([[rows[truth].get(name, 0.0) for name in classes] for truth in classes])


def value_criterion(loss: Loss) -> Criterion:
    """Returns the criterion for values; errors are in deviations of the training targets."""
    if loss.regression == "absolute":
        of_errors = partial(functional.l1_loss, reduction="none")
    else:
        delta = loss.huber_delta or 1.0
        of_errors = partial(functional.huber_loss, reduction="none", delta=delta)
    return lambda output, target: of_errors(output.squeeze(1), target)


def _tensor(values: Shares) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))

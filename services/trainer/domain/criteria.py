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
"""Takes outputs (rows, outputs) and targets (rows,); returns the loss of each row, (rows,).

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
        return self._focused(losses) * self.factors.to(target.device)[target]

    def _of_each_class(self, output: Tensor) -> Tensor:
        """Returns the loss of each row were each class its truth, shape (rows, classes)."""
        classes = output.shape[1]
        wanted = torch.eye(classes) if self.savings is None else self.savings
        wanted = wanted.to(output.device)
        wanted = (1 - self.smoothing) * wanted + self.smoothing / classes
        return self._focused(-output.log_softmax(dim=1) @ wanted.T) * self.factors.to(output.device)

    def _focused(self, losses: Tensor) -> Tensor:
        """Returns losses times the focal factor."""
        if self.gamma == 0:
            return losses
        # 1 - p of the true class; where it rounds to 0 the power has no finite slope.
        return losses * (-torch.expm1(-losses)).clamp(min=_SMALLEST) ** self.gamma


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
    rows = {row.truth: row.costs for row in matrix.rows}
    costs = np.array([[rows[truth].get(name, 0.0) for name in classes] for truth in classes])
    saved: Shares = costs.max(axis=1, keepdims=True) - costs
    return saved


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

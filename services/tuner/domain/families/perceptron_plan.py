"""What perceptrons for tables are to learn, and how."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.models.estimators.perceptron import Array, sigmoid, softmax

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How a network is made and learned.

    Attributes:
        members: How many perceptrons.
        layers: Hidden layers of each.
        width: Of the hidden layers.
        activation: See `activated`.
        pieces: See `PiecewiseLinear.of`.
        learning_rate: At its height.
        weight_decay: Of the matrices, as in AdamW.
        dropout: Share of hidden values that are left out.
        batch: Rows of a step.
        epochs: Passes over all rows by the end of which the learning rate is down at 0.
        last: Passes after which it ends anyway.
        patience: Passes without progress after which it ends.
        seed: Of all chance.
    """

    members: int
    layers: int
    width: int
    activation: str
    pieces: int
    learning_rate: float
    weight_decay: float
    dropout: float
    batch: int
    epochs: int
    last: int
    patience: int
    seed: int


@dataclass(frozen=True)
class Goal:
    """What outputs are to be.

    Attributes:
        kind: `classes` (probabilities of which one holds), `labels` (each alone) or `values`.
        wanted: (rows, outputs).
        weights: Of the rows, 1 on average; None where all count alike.
        level: The quantile that values are to be; None for the mean.
    """

    kind: str
    wanted: Array
    weights: Array | None = None
    level: float | None = None

    def slopes(self, outputs: Array, rows: Positions) -> Array:
        """Returns the loss's slopes; `rows` (members, rows) says which rows they are of."""
        found: Array = _SHARES[self.kind](outputs) - self.wanted[rows]
        if self.level is not None:
            found = np.where(found > 0, np.float32(1 - self.level), np.float32(-self.level))
        if self.weights is not None:
            found *= self.weights[rows][:, :, None]
        return found / np.float32(rows.shape[1])

    def loss(self, outputs: Array) -> float:
        """Returns the loss of the mean of the members on all rows."""
        found = _SHARES[self.kind](outputs).mean(axis=0, dtype=np.float64)
        if self.kind == "values":
            return float(np.mean(self._losses_of_values(self.wanted - found)))
        found = np.clip(found, 1e-6, 1 - 1e-6)
        losses = self.wanted * np.log(found)
        if self.kind == "labels":
            losses += (1 - self.wanted) * np.log1p(-found)
        return float(-losses.sum(axis=1).mean())

    def _losses_of_values(self, errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.level is None:
            return np.square(errors)
        return np.maximum(self.level * errors, (self.level - 1) * errors)


_SHARES: dict[str, Callable[[Array], Array]] = {
    "classes": softmax,
    "labels": sigmoid,
    "values": lambda outputs: outputs,
}

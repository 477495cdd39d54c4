"""A teacher, whose outputs a network learns from beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from services.trainer.domain.objective import Objective


@dataclass(frozen=True)
class Teacher:
    """A network that says what another one should give.

    Source: Hinton et al., Distilling the knowledge in a neural network (2015).

    Attributes:
        network: In evaluation; takes the inputs of its pupil.
        weight: Its share in the loss.
        temperature: What outputs are divided by, where there are classes.
    """

    network: nn.Module
    weight: float
    temperature: float

    def mixed(
        self, losses: Tensor, output: Tensor, inputs: Sequence[Tensor], objective: Objective
    ) -> Tensor:
        """Returns the loss of each row with the teacher's share, shape (rows,).

        Args:
            losses: Against the truth, shape (rows,).
            output: What the pupil gave, shape (rows, outputs).
            inputs: What it took.
            objective: What it is trained for.
        """
        with torch.no_grad():
            said = self.network(*inputs)
        distances = objective.distances(output, said, self.temperature)
        return (1 - self.weight) * losses + self.weight * distances

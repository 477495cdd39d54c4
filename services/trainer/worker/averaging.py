"""A moving average of a network's weights, which becomes the model in their place."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from services.trainer.worker.flat import FlatNetwork


class WeightAverage:
    """Exponential moving average of parameters and buffers.

    In early steps the average is shorter, so that the initial weights do not weigh on it: its decay
    is at most (1 + step) / (10 + step), a function of the step alone. All workers compute the same.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992); in
    this form Tarvainen and Valpola, Mean teachers (2017).

    Attributes:
        parameters: Average of the flat parameters, shape (parameters,).
        buffers: Average of the buffers.
    """

    def __init__(self, decay: float, flat: FlatNetwork) -> None:
        """Begins at the network's weights.

        Args:
            decay: Share of the average that a step leaves.
            flat: The network.
        """
        self._decay = decay
        self._flat = flat
        self.parameters = flat.parameters.detach().clone()
        self.buffers = flat.buffers.clone()

    def update(self, step: int) -> None:
        """Takes the weights of a step in.

        Args:
            step: Steps that are done, from 1.
        """
        new = 1 - min(self._decay, (1 + step) / (10 + step))
        self.parameters.lerp_(self._flat.parameters.detach(), new)
        self.buffers.lerp_(self._flat.buffers, new)

    def take(self, parameters: Tensor, buffers: Tensor) -> None:
        """Goes on from another average."""
        self.parameters.copy_(parameters)
        self.buffers.copy_(buffers)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Gives the network the average, and its own weights back, to the last bit."""
        own = self._flat.parameters.detach().clone(), self._flat.buffers.clone()
        self._flat.take(self.parameters, self.buffers)
        try:
            yield
        finally:
            self._flat.take(*own)

"""What a network costs, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network.

    Attributes:
        parameters: Trainable numbers.
        multiplications: Multiply-adds of one row's forward pass.
        activations: Numbers that one row's forward pass keeps for the backward pass.
        layers: Operations with a cost of their own, however few rows there are.
    """

    parameters: int
    multiplications: int
    activations: int
    layers: int = 0

    def __add__(self, other: "NetworkCost") -> "NetworkCost":
        return NetworkCost(
            self.parameters + other.parameters,
            self.multiplications + other.multiplications,
            self.activations + other.activations,
            self.layers + other.layers,
        )


NOTHING = NetworkCost(0, 0, 0)


def kept(numbers: int) -> NetworkCost:
    """Returns the cost of numbers that are only kept for the backward pass."""
    return NetworkCost(0, 0, numbers)


def dense_cost(layers: Sequence[int]) -> NetworkCost:
    """Returns the cost of linear layers with biases, each followed by an activation.

    Args:
        layers: What goes into the first, then the width of each.
    """
    total = NOTHING
    for inputs, outputs in pairwise(layers):
        weights = inputs * outputs
        total += NetworkCost(weights + outputs, weights, inputs + 2 * outputs, layers=2)
    return total

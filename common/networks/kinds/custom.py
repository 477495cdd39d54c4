"""A network of a user's own code."""

from math import prod
from typing import ClassVar

from common.networks.kinds.base import Data, NetworkInput, NetworkKind
from common.networks.kinds.costs import NetworkCost

_KEPT = 64
"""Numbers that a network is taken to keep for the backward pass, for each of a row's."""


class CustomNetwork(NetworkKind):
    """What it is only its code knows; see `aimass.type.v1.CustomNetwork`."""

    data: ClassVar[Data] = "anything"

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """Returns a guess at what it keeps; its weights are not known before it runs."""
        row = network_input.numeric_columns + len(network_input.category_sizes)
        row += prod(network_input.image_shape) if network_input.image_shape else 0
        steps = network_input.window * (1 + network_input.past_columns)
        steps += (network_input.window + outputs) * network_input.known_columns
        row += steps + network_input.text_length
        return NetworkCost(0, 0, _KEPT * row + outputs)

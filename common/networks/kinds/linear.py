"""One linear layer."""

from common.networks.kinds.base import NetworkInput, NetworkKind
from common.networks.kinds.costs import NetworkCost


class LinearNetwork(NetworkKind):
    """One linear layer; see `aimass.type.v1.LinearNetwork`."""

    bias: bool = True

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        columns = network_input.numeric_columns
        sizes = sum(network_input.category_sizes)
        return NetworkCost(
            parameters=(columns + sizes + self.bias) * outputs,
            multiplications=columns * outputs,
            activations=columns + outputs,
        )

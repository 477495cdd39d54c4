"""What a network costs, from its specification alone. Imports no torch."""

from common.networks.kinds.costs import NetworkCost
from common.networks.specification import NetworkSpecification


def network_cost(specification: NetworkSpecification) -> NetworkCost:
    """Returns the cost of a completed specification."""
    return specification.settings.cost(specification.input, specification.outputs)

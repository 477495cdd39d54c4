"""Names of a network's layers, from its specification alone. Imports no torch."""

from common.networks.specification import NetworkSpecification


def layer_names(specification: NetworkSpecification) -> tuple[str, ...]:
    """Returns the names of the layers whose widths are a network's own to choose.

    These are the modules of `common.networks.modules.build_network` with weights; normalisations
    are as wide as what they normalise. A linear network has none.

    Args:
        specification: Complete.
    """
    return tuple(specification.settings.layer_names())


def has_batch_norm(specification: NetworkSpecification) -> bool:
    """Returns whether a network has batch normalisation."""
    return specification.settings.has_batch_norm

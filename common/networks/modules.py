"""From a completed specification to a torch module."""

from torch import nn

from aimass.type.v1 import network_pb2
from common.networks.specification import NetworkSpecification, from_proto
from common.networks.torch_kinds.registry import torch_kind


def build_network(network: network_pb2.NetworkSpec | NetworkSpecification) -> nn.Module:
    """Builds the module that a completed specification stands for.

    Its `forward` takes the tensors that `NetworkInput.names` lists, in that order: `numeric`
    float [rows, columns], `categories` int64 codes [rows, columns], `image` float [rows,
    channels, height, width], `series` float [rows, window], `past` float [rows, window,
    columns], `known` float [rows, window + outputs, columns], all standardised, `tokens` int64
    numbers [rows, at most `text_length`], 0 behind the end; it returns [rows, outputs]: logits, or
    values.

    Args:
        network: A specification with every width resolved.

    Returns:
        The module with fresh weights, drawn from torch's global random generator. The same
        specification gives the same parameter names and shapes, always.
    """
    specification = network if isinstance(network, NetworkSpecification) else from_proto(network)
    kind = torch_kind(specification.kind)
    return kind.build(specification.settings, specification.input, specification.outputs)

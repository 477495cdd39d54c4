"""From the tensors of a smaller network to the specification that they fit."""

from torch import Tensor

from common.networks.modules import build_network
from common.networks.specification import NetworkSpecification
from common.networks.torch_kinds.base import State
from common.networks.torch_kinds.registry import torch_kind

_COUNTS = ".num_batches_tracked"


class NotResizableError(ValueError):
    """No specification of the kind has such tensors."""


def resized(
    specification: NetworkSpecification, state: State
) -> tuple[NetworkSpecification, dict[str, Tensor]]:
    """Returns the specification of a network that has lost units or blocks, and its tensors.

    Args:
        specification: Of the network as it was, complete.
        state: What is left of its tensors, by their names then.

    Returns:
        The specification with smaller widths, and the tensors by the names that its network has.

    Raises:
        NotResizableError: No network of the kind has these: a tensor is missing, or too small.
    """
    try:
        kind = torch_kind(specification.kind)
        settings, left = kind.resized(specification.settings, state)
        found = specification.with_settings(settings)
        network = build_network(found)
    except (IndexError, KeyError, ValueError, RuntimeError) as error:
        raise NotResizableError(f"The network is of no specification any more: {error}") from error
    expected, fixed = network.state_dict(), dict(network.named_buffers())
    tensors = {name: each for name, each in left.items() if name in expected or name not in fixed}
    # How many batches there were is of no use to a network that does not count them.
    tensors |= {name: each for name, each in expected.items() if name.endswith(_COUNTS)}
    own = {name: tuple(each.shape) for name, each in tensors.items()}
    wanted = {name: tuple(each.shape) for name, each in expected.items()}
    for name in sorted(own.keys() | wanted.keys()):
        if own.get(name) != wanted.get(name):
            raise NotResizableError(
                f"`{name}` is {own.get(name, 'missing')}, where a network of the kind has "
                f"{wanted.get(name, 'none')}."
            )
    return found, tensors

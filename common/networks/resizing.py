"""From the tensors of a smaller network to the specification that they fit."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from common.networks.modules import build_network
from common.networks.specification import (
    CnnNetwork,
    MlpNetwork,
    NetworkSpecification,
    ResNetNetwork,
    ResNetStage,
)

State = Mapping[str, Tensor]

_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.")
_NUMBERS = re.compile(r"\d+")
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
        found, tensors = _resized(specification, state)
        network = build_network(found)
    except (IndexError, KeyError, ValueError, RuntimeError) as error:
        raise NotResizableError(f"The network is of no specification any more: {error}") from error
    expected, fixed = network.state_dict(), dict(network.named_buffers())
    tensors = {
        name: each for name, each in tensors.items() if name in expected or name not in fixed
    }
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


def _resized(
    specification: NetworkSpecification, state: State
) -> tuple[NetworkSpecification, dict[str, Tensor]]:
    if specification.mlp is not None:
        changes: dict[str, object] = {"mlp": _mlp(specification.mlp, state)}
    elif specification.cnn is not None:
        changes = {"cnn": _cnn(specification.cnn, state)}
    elif specification.resnet is not None:
        state = _renumbered(state)
        changes = {"resnet": _resnet(specification.resnet, state)}
    else:
        changes = {}
    return specification.model_copy(update=changes), dict(state)


def _mlp(mlp: MlpNetwork, state: State) -> MlpNetwork:
    *hidden, _ = _widths(state, "layers.", lambda each: each.dim() == 2)
    embeddings = _weights(state, "embeddings.", lambda each: each.dim() == 2)
    widths = tuple(int(each.shape[1]) for each in embeddings)
    return mlp.model_copy(update={"hidden_widths": tuple(hidden), "embedding_widths": widths})


def _cnn(cnn: CnnNetwork, state: State) -> CnnNetwork:
    channels = _widths(state, "blocks.", lambda each: each.dim() == 4)
    *heads, _ = _widths(state, "head.", lambda each: each.dim() == 2)
    blocks = tuple(
        block.model_copy(update={"channels": width})
        for block, width in zip(cnn.blocks, channels, strict=True)
    )
    return cnn.model_copy(update={"blocks": blocks, "head_widths": tuple(heads) or (0,)})


def _resnet(resnet: ResNetNetwork, state: State) -> ResNetNetwork:
    stages = []
    for place in range(len(resnet.stages)):
        prefix = f"stages.{place}."
        inner = _widths(state, prefix, lambda each: each.dim() == 4, "conv1.weight")
        [*_, channels] = _widths(state, prefix, lambda each: each.dim() == 4, "conv2.weight")
        stages.append(
            ResNetStage(blocks=len(inner), channels=channels, inner_channels=tuple(inner))
        )
    return resnet.model_copy(update={"stages": tuple(stages)})


def _renumbered(state: State) -> State:
    """Returns tensors of blocks that are numbered without gaps in each stage."""
    left: dict[str, set[int]] = {}
    for name in state:
        if found := _BLOCK.match(name):
            left.setdefault(found[1], set()).add(int(found[2]))
    places = {
        (stage, str(number)): str(place)
        for stage, numbers in left.items()
        for place, number in enumerate(sorted(numbers))
    }

    def renamed(name: str) -> str:
        return _BLOCK.sub(lambda found: f"stages.{found[1]}.{places[found[1], found[2]]}.", name)

    return {renamed(name): each for name, each in state.items()}


def _widths(
    state: State, prefix: str, is_wanted: Callable[[Tensor], bool], suffix: str = "weight"
) -> list[int]:
    return [int(each.shape[0]) for each in _weights(state, prefix, is_wanted, suffix)]


def _weights(
    state: State, prefix: str, is_wanted: Callable[[Tensor], bool], suffix: str = "weight"
) -> list[Tensor]:
    """Returns tensors under a prefix in the order of the numbers in their names."""
    names = [name for name in state if name.startswith(prefix) and name.endswith(suffix)]
    names.sort(key=lambda name: [int(each) for each in _NUMBERS.findall(name)])
    return [state[name] for name in names if is_wanted(state[name])]

"""What kinds of networks have in common as torch modules."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor, nn

from common.networks.kinds.base import ActivationName, NetworkInput, NetworkKind

State = Mapping[str, Tensor]
Kind = TypeVar("Kind", bound=NetworkKind)

_NUMBERS = re.compile(r"\d+")
_ACTIVATIONS: dict[ActivationName, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def unchanged(settings: Kind, state: State) -> tuple[Kind, State]:
    """Says of a network that it has no widths of its own to lose."""
    return settings, state


@dataclass(frozen=True)
class TorchKind(Generic[Kind]):
    """A kind of network as torch modules.

    Attributes:
        build: Makes the module of completed settings for an input and a number of outputs, with
            fresh weights from torch's global generator.
        resized: Returns the settings that the tensors of a smaller network fit, and these by the
            names that its module has. Of settings and tensors by their names before. May raise
            IndexError, KeyError or ValueError where there are none.
    """

    build: Callable[[Kind, NetworkInput, int], nn.Module]
    resized: Callable[[Kind, State], tuple[Kind, State]] = unchanged


def activation(name: ActivationName) -> nn.Module:
    """Returns an activation."""
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()


def widths(state: State, prefix: str, dimensions: int, suffix: str = "weight") -> list[int]:
    """Returns the outputs of layers, by their weights; see `weights`."""
    return [int(each.shape[0]) for each in weights(state, prefix, dimensions, suffix)]


def weights(state: State, prefix: str, dimensions: int, suffix: str = "weight") -> list[Tensor]:
    """Returns tensors in the order of the numbers in their names.

    Args:
        state: Tensors by name.
        prefix: How the names begin.
        dimensions: Of the tensors.
        suffix: How the names end.
    """
    names = [name for name in state if name.startswith(prefix) and name.endswith(suffix)]
    names.sort(key=lambda name: [int(each) for each in _NUMBERS.findall(name)])
    return [state[name] for name in names if state[name].dim() == dimensions]


def renumbered(state: State, prefix: str) -> State:
    """Returns tensors of blocks that are numbered without gaps.

    Args:
        state: Tensors by name.
        prefix: Pattern of what stands before a block's number and tells lists of blocks apart.
    """
    block = re.compile(rf"({prefix})(\d+)\.")
    left: dict[str, set[int]] = {}
    for name in state:
        if found := block.match(name):
            left.setdefault(found[1], set()).add(int(found[2]))
    places = {
        (part, number): place
        for part, numbers in left.items()
        for place, number in enumerate(sorted(numbers))
    }

    def renamed(name: str) -> str:
        return block.sub(lambda found: f"{found[1]}{places[found[1], int(found[2])]}.", name)

    return {renamed(name): each for name, each in state.items()}

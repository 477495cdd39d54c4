"""The coupled units of a network: what they are made of, and which may go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from common.networks.program_network import ProgramNetwork
from services.pruner.domain.dependencies.following import Following, followed
from services.pruner.domain.dependencies.rules import RULES, Rule
from services.pruner.domain.dependencies.units import Labels

Place = tuple[str, int]
"""A parameter or buffer by name, and one of its dimensions."""


@dataclass(frozen=True)
class Coupled:
    """Units of the same kind, for instance the channels that a sum ties together.

    Attributes:
        places: Where they are.
        units: Their numbers, in order.
        reason: Why none may go; empty where they may.
    """

    places: tuple[Place, ...]
    units: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Dependencies:
    """A network and what goes together in it.

    Attributes:
        following: What was found.
        network: The network, or the same with other numbers.
    """

    following: Following
    network: ProgramNetwork

    @cached_property
    def roots(self) -> Mapping[Place, Labels]:
        """The unit of each index of each dimension of parameters and buffers."""
        found = {}
        for name, layout in self.following.states.items():
            for at in range(len(layout.axes)):
                band = layout.band(at)
                if band is not None:
                    found[name, at] = self.following.units.roots(band.labels)
        return found

    @cached_property
    def coupled(self) -> tuple[Coupled, ...]:
        """All units by the places that they are in, the first places first."""
        places: dict[int, list[Place]] = {}
        for place, roots in self.roots.items():
            for root in np.unique(roots).tolist():
                places.setdefault(root, []).append(place)
        kinds: dict[tuple[tuple[Place, ...], str], list[int]] = {}
        for root, own in places.items():
            reason = self.following.units.reason(root)
            kinds.setdefault((tuple(own), reason), []).append(root)
        return tuple(
            Coupled(own, tuple(sorted(roots)), reason) for (own, reason), roots in kinds.items()
        )

    @property
    def removable(self) -> tuple[Coupled, ...]:
        """Units of which all but one may go."""
        return tuple(each for each in self.coupled if not each.reason and len(each.units) > 1)

    def removed(self, place: Place, units: frozenset[int]) -> Labels:
        """Returns the indices of a dimension that go with units."""
        return np.flatnonzero(np.isin(self.roots[place], list(units)))


def dependencies(
    network: ProgramNetwork, inputs: Sequence[Tensor], rules: Mapping[str, Rule] = RULES
) -> Dependencies:
    """Returns what goes together in a network.

    Of convolutions in groups either some channels of each group go, or whole groups: what leaves
    more to choose from is taken.

    Args:
        network: Is put into evaluation.
        inputs: An example of at least two rows.
        rules: What is known of operations.
    """
    network.eval()
    found = [
        Dependencies(followed(network, inputs, rules, whole_groups=whole), network)
        for whole in (False, True)
    ]
    return max(found, key=lambda each: sum(len(group.units) for group in each.removable))

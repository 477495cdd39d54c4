"""Rules are believed only where numbers agree: removing must be what setting to 0 is."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from common.networks.program_network import ProgramNetwork
from services.pruner.domain.dependencies.graph import Coupled, Dependencies, dependencies
from services.pruner.domain.dependencies.removal import masked, without
from services.pruner.domain.dependencies.rules import RULES, Rule

_CLOSE = 1e-4
UNPROVED = "removing it changes more than setting it to 0"
NAMED = "it was named as one that stays"


def proved_dependencies(
    network: ProgramNetwork,
    inputs: Sequence[Tensor],
    rules: Mapping[str, Rule] = RULES,
    kept_layers: Collection[str] = (),
) -> Dependencies:
    """Returns what goes together in a network; what cannot be proved by numbers stays.

    Of each kind of units half are removed, and the outputs compared with those of the network in
    which the same units are 0. Parameters are drawn anew for that, as those of a network that is
    not yet trained, or whose units are dead, prove nothing.

    Args:
        network: Is put into evaluation.
        inputs: An example of at least two rows.
        rules: What is known of operations.
        kept_layers: Names of layers that stay as they are: none of what they take and give goes.
    """
    found = dependencies(network, inputs, rules)
    for layer in kept_layers:
        layout = found.following.states.get(f"{layer}.weight")
        if layout is not None:
            found.following.freeze(layout, NAMED)
    drawn = Dependencies(found.following, _drawn(network))
    for group in found.removable:
        if not _is_proved(drawn, group, inputs):
            found.following.units.freeze(np.array(group.units), UNPROVED)
    return Dependencies(found.following, network)


def _drawn(network: ProgramNetwork) -> ProgramNetwork:
    """Returns the network with other numbers, none of which is 0."""
    generator = torch.Generator().manual_seed(0)
    states = {name: each.detach().clone() for name, each in network.state_dict().items()}
    for each in states.values():
        if each.is_floating_point():
            each.uniform_(0.1, 1.0, generator=generator).div_(max(each[0].numel(), 1) ** 0.5)
    return network.changed(network.program, states)


def _is_proved(known: Dependencies, group: Coupled, inputs: Sequence[Tensor]) -> bool:
    units = group.units[::2] if len(group.units) > 1 else ()
    try:
        with torch.no_grad():
            small, expected = without(known, units)(*inputs), masked(known, units)(*inputs)
    except (RuntimeError, ValueError):
        return False
    scale = max(float(expected.abs().max()), 1e-6)
    return bool(small.shape == expected.shape) and float((small - expected).abs().max()) < (
        _CLOSE * scale
    )

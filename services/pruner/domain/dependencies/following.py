"""Follows each index of each parameter through the operations of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from common.networks.program import Argument, Operation, Ref, State
from common.networks.program_network import ProgramNetwork, base_name
from services.pruner.domain.dependencies.layout import Layout, labelled, plain, settled, simplified
from services.pruner.domain.dependencies.units import Units

OUTPUT = "it is the output"


@dataclass
class Following:
    """What is known of a network, operation by operation.

    Attributes:
        network: The network.
        units: What goes together.
        states: Layouts of parameters and buffers by name.
        whole_groups: Whether of convolutions in groups whole groups go, not some of each group.
        layouts: What operations gave, by name: a layout, several, or None for a number.
    """

    network: ProgramNetwork
    whole_groups: bool = False
    units: Units = field(default_factory=Units)
    states: dict[str, Layout] = field(default_factory=dict)
    layouts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Gives each index of parameters and statistics a unit of its own.

        Other buffers are fixed maps, to cells of a grid for instance: nothing of these is learned.
        """
        learned = {name for name, _ in self.network.named_parameters()} | self._statistics()
        for name, tensor in self.network.state_dict().items():
            make = self.created if name in learned else plain
            self.states[name] = make(tensor.shape)

    def _statistics(self) -> set[str]:
        """Returns the names of what normalisations have counted."""
        return {
            each.name
            for operation in self.network.program.operations
            if base_name(operation.kind) == "batch_norm"
            for each in operation.sources
            if isinstance(each, State)
        }

    def created(self, shape: Sequence[int]) -> Layout:
        """Returns the layout of a tensor that may be made smaller along all its axes."""
        return labelled(shape, [self.units.fresh(size) if size > 1 else None for size in shape])

    def layout(self, argument: Argument) -> Any:
        """Returns the layout of what an operation takes; None for what is no tensor."""
        if isinstance(argument, Ref):
            return self.layouts[argument.name]
        if isinstance(argument, State):
            return self.states[argument.name]
        return None

    def freeze(self, layout: Layout, reason: str) -> None:
        """Says that all units of a tensor stay."""
        for band in layout.bands:
            self.units.freeze(band.labels, reason)


def followed(
    network: ProgramNetwork,
    inputs: Sequence[Tensor],
    rules: Mapping[str, Any],
    *,
    whole_groups: bool = False,
) -> Following:
    """Returns what goes together in a network.

    Args:
        network: The network.
        inputs: An example.
        rules: What is known of operations, by their name.
        whole_groups: See `Following`.
    """
    following = Following(network, whole_groups)
    values: dict[str, Any] = {}
    for name, tensor in zip(network.program.inputs, inputs, strict=True):
        values[name], following.layouts[name] = tensor, plain(tensor.shape)
    with torch.no_grad():
        for operation in network.program.operations:
            values[operation.name] = network.done(operation, values)
            following.layouts[operation.name] = _layout(
                following, operation, values[operation.name], rules
            )
    following.freeze(following.layouts[network.program.output.name], OUTPUT)
    _settle(following)
    return following


def _settle(following: Following) -> None:
    """Lets dimensions that were split stay split: the longest of the parts is made shorter."""
    for known in following.layouts.values():
        for layout in known if isinstance(known, tuple) else (known,):
            bands = layout.bands if isinstance(layout, Layout) else ()
            for band in bands:
                rest = simplified(following.units, band)
                if rest is not None and len(rest.axes) > 1:
                    axis = max(rest.axes, key=lambda each: each.size)
                    settled(following.units, layout, axis)


def _layout(
    following: Following, operation: Operation, value: Any, rules: Mapping[str, Any]
) -> Any:
    rule = rules.get(base_name(operation.kind))
    if rule is not None:
        return rule(following, operation, value)
    name = base_name(operation.kind)
    for each in operation.sources:
        known = following.layout(each)
        for layout in known if isinstance(known, tuple) else (known,):
            if isinstance(layout, Layout):
                following.freeze(layout, f"how {name} passes it on is not known")
    return unlabelled(value)


def unlabelled(value: Any) -> Any:
    """Returns the layout of a result of which nothing is known but its shape."""
    if isinstance(value, Tensor):
        return plain(value.shape)
    if isinstance(value, list | tuple):
        return tuple(unlabelled(each) for each in value)
    return None

"""Statistics of batch normalisation, estimated anew: those of the larger network are wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from common.networks.program import Operation
from common.networks.program_network import ProgramNetwork, base_name

_MEAN, _VARIANCE, _MOMENTUM = 3, 4, 6


def estimate_statistics(network: ProgramNetwork, batches: Iterable[Sequence[Tensor]]) -> None:
    """Writes the mean of the statistics of batches into a network (Wu and Johnson, 2021).

    Args:
        network: Is changed, and put into evaluation.
        batches: What it takes in, each of at least two rows; none for nothing to change.
    """
    names = [
        getattr(each.arguments[at], "name", "")
        for each in network.program.operations
        if base_name(each.kind) == "batch_norm"
        for at in (_MEAN, _VARIANCE)
    ]
    operations = tuple(map(_forgetful, network.program.operations))
    twin = network.changed(
        replace(network.program, operations=operations), network.copied_states()
    ).train()
    totals: dict[str, Tensor] = {}
    count = 0
    for inputs in batches if any(names) else ():
        with torch.no_grad():
            twin(*inputs)
        found = twin.state_dict()
        totals = {name: totals.get(name, 0) + found[name] for name in names if name}
        count += 1
    network.load_state_dict({name: each / count for name, each in totals.items()}, strict=False)
    network.eval()


def _forgetful(operation: Operation) -> Operation:
    """Returns a normalisation that knows its last batch only."""
    if base_name(operation.kind) != "batch_norm":
        return operation
    arguments: list[Any] = list(operation.arguments)
    arguments[_MOMENTUM] = 1.0
    return replace(operation, arguments=tuple(arguments))

"""Torch-Pruning makes a network smaller: torch_pruning_prune.py NETWORK STATE ROWS METHOD GAIN OUT.

Of all ratios the first is taken at which multiply-accumulates are at most 1 / GAIN of the whole.
"""

import copy
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks.pruner.network_nets import NETS

tp: Any = importlib.import_module("torch_pruning")
_RATIOS = [each / 100 for each in range(5, 100, 5)]
_ROUND = 16
METHODS: Mapping[str, Mapping[str, Any]] = {
    "L2 uniform": {
        "importance": tp.importance.GroupMagnitudeImportance(p=2),
        "round_to": _ROUND,
    },
    "Taylor": {"importance": tp.importance.GroupTaylorImportance(), "global_pruning": True},
    "group norm": {
        "importance": tp.importance.GroupMagnitudeImportance(p=2),
        "global_pruning": True,
    },
}


def pruned(
    network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], method: str, gain: float
) -> nn.Module:
    """Returns a smaller copy of a network.

    Args:
        network: Is put into evaluation.
        batches: Pictures and classes, for gradients.
        method: One of `METHODS`.
        gain: What multiply-accumulates are divided by, at least.
    """
    network.eval()
    for inputs, truth in batches:
        torch.autograd.backward(functional.cross_entropy(network(inputs), truth))
    example = batches[0][0][:2]
    whole, _ = tp.utils.count_ops_and_params(network, example)
    for ratio in _RATIOS:
        small = _copy(network)
        last = [each for each in small.modules() if isinstance(each, nn.Linear)][-1]
        pruner = tp.pruner.BasePruner(
            small, example, pruning_ratio=ratio, ignored_layers=[last], **METHODS[method]
        )
        pruner.step()
        left, _ = tp.utils.count_ops_and_params(small, example)
        if left <= whole / gain:
            break
    small.zero_grad()
    return small


def _copy(network: nn.Module) -> nn.Module:
    """Returns a copy that has the gradients too."""
    found = copy.deepcopy(network)
    for own, other in zip(found.parameters(), network.parameters(), strict=True):
        own.grad = None if other.grad is None else other.grad.clone()
    return found


def main(name: str, state: str, rows: str, method: str, gain: str, path: str) -> None:
    """Reads a network and what it learns from, and writes the smaller one."""
    network = NETS[name]()
    network.load_state_dict(torch.load(state))
    batches = [(each[0][0], each[1]) for each in torch.load(rows)]
    torch.save(pruned(network, batches, method, float(gain)), path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])

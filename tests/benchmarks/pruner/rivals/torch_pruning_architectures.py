"""Torch-Pruning makes networks of all kinds smaller; prints what is wrong with each as JSON."""

import copy
import importlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks.pruner.pruned_right import Check, faults
from tests.support.architectures import ARCHITECTURES

tp: Any = importlib.import_module("torch_pruning")


def fault_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[str]:
    """Returns what is wrong once half of the units are to have gone."""
    small = copy.deepcopy(module)
    last = [each for each in small.modules() if isinstance(each, nn.Linear)][-1]
    pruner = tp.pruner.BasePruner(
        small,
        inputs,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=[last],
    )
    pruner.step()
    return faults(Check(module, small, inputs))


def main() -> None:
    """Tries all kinds."""
    found = {}
    for name, (make, example) in ARCHITECTURES.items():
        torch.manual_seed(0)
        module, inputs = make().eval(), example()
        try:
            found[name] = fault_of(module, inputs)
        except Exception as error:  # Whatever it raises, the network is not pruned.
            found[name] = [f"raises {type(error).__name__}"]
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

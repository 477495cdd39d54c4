"""How many kinds of networks are pruned right, ours and Torch-Pruning, half of the units each.

Right is what has fewer parameters, gives finite outputs of the same shape for any number of rows,
becomes an ONNX model that agrees, and goes on learning. Ours must besides give what the original
gives with the same units set to zero; a network that cannot be followed must be refused by name.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from services.pruner.domain.capture import NotTraceableError, capture
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.dependencies.removal import masked, without
from tests.benchmarks.harness import ROOT, Aim, Measure, publish, say
from tests.benchmarks.pruner.networks import RIVAL
from tests.benchmarks.pruner.pruned_right import Check, faults
from tests.benchmarks.tuner.environments import UnavailableError, interpreter
from tests.support.architectures import ARCHITECTURES

NOTES = (
    "Architectures: half of the units of each kind go; what is not right of each is printed. A "
    "network with dynamic control flow is right where it is refused by name, or pruned right.",
)
_SCRIPT = Path(__file__).parent / "rivals" / "torch_pruning_architectures.py"


def architectures() -> list[Measure]:
    """Measures both on all kinds."""
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)  # what it refuses, at length
    ours = dict(_ours())
    try:
        theirs = _theirs()
    except UnavailableError as error:
        say(f"  Torch-Pruning cannot be run: {error}")
        theirs = {}
    for name in ARCHITECTURES:
        told = (", ".join(each.get(name, ["not run"])) or "right" for each in (ours, theirs))
        say(f"  {name}: ours {next(told)}; Torch-Pruning {next(told)}")
    right = sum(not each for each in ours.values())
    other = float(sum(not each for each in theirs.values())) if theirs else None
    aim = Aim(at_least=len(ARCHITECTURES))
    return [Measure.of("kinds of networks pruned right", right, other, aim)]


def _ours() -> Iterator[tuple[str, list[str]]]:
    for name, (make, example) in ARCHITECTURES.items():
        torch.manual_seed(0)
        module, inputs = make().eval(), example()
        try:
            yield name, _fault_of(module, inputs)
        except NotTraceableError:
            yield name, []


def _fault_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[str]:
    known = dependencies(capture(module, inputs), inputs)
    units = [unit for group in known.removable for unit in group.units[1::2]]
    small = without(known, units)
    with torch.no_grad():
        is_same = torch.allclose(small(*inputs), masked(known, units)(*inputs), 1e-4, 1e-5)
    found = faults(Check(module, small, inputs))
    return found if is_same else ["other outputs than with zeros", *found]


def _theirs() -> dict[str, list[str]]:
    paths = [str(ROOT), *(each for each in sys.path if "site-packages" in each)]
    done = subprocess.run(
        [str(interpreter(RIVAL)), str(_SCRIPT)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    publish("pruner-architectures", architectures(), NOTES)

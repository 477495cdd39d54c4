"""What is wrong with a pruned network, asked of all contenders alike."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

_STEPS, _RATE = 30, 0.01
_LEAST_CHANGED = 1 / 3


@dataclass(frozen=True)
class Check:
    """What is looked at.

    Attributes:
        original: The network as it was.
        small: What became of it.
        inputs: An example of what both take in.
    """

    original: nn.Module
    small: nn.Module
    inputs: Sequence[Tensor]


def faults(check: Check) -> list[str]:
    """Returns what is wrong, in few words; nothing where all is right."""
    if _size(check.small) >= _size(check.original):
        return ["nothing was removed"]
    found = []
    for what, is_right in (("runs", _runs), ("exports", _exports), ("learns", _learns)):
        try:
            if not is_right(check):
                found.append(f"{what} wrong")
        except Exception as error:  # Whatever a contender's network raises is its fault.
            found.append(f"{what} not ({type(error).__name__})")
    return found


def _size(network: nn.Module) -> int:
    return sum(each.numel() for each in {id(one): one for one in network.parameters()}.values())


@torch.no_grad()
def _runs(check: Check) -> bool:
    check.small.eval()
    for rows in (len(check.inputs[0]), 1):
        some = [each[:rows] for each in check.inputs]
        found, expected = check.small(*some), check.original(*some)
        if found.shape != expected.shape or not torch.isfinite(found).all():
            return False
    return True


def _exports(check: Check) -> bool:
    inputs = tuple(check.inputs)
    names = [f"x{place}" for place in range(len(inputs))]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = f"{folder}/model.onnx"
        torch.onnx.export(check.small.eval(), inputs, file, input_names=names, dynamo=False)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = dict(zip(names, (each.numpy() for each in inputs), strict=True))
    with torch.no_grad():
        expected = check.small(*inputs).numpy()
    return bool(np.allclose(session.run(None, given)[0], expected, 1e-3, 1e-4))


def _learns(check: Check) -> bool:
    """Returns whether the loss falls, and not the head alone changes."""
    network = check.small.train()
    before = [each.detach().clone() for each in network.parameters()]
    torch.manual_seed(1)
    wanted = torch.randn_like(network(*check.inputs))
    optimiser = torch.optim.Adam(network.parameters(), _RATE)
    losses = []
    for _ in range(_STEPS):
        optimiser.zero_grad()
        loss = (network(*check.inputs) - wanted).square().mean()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    changed = [not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)]
    return losses[-1] < losses[0] and sum(changed) > _LEAST_CHANGED * len(changed)

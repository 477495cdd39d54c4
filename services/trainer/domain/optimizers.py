"""Optimizers over one flat parameter."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from services.trainer.domain.optimisation import Optimizer

_STATE_NAMES = ("exp_avg", "exp_avg_sq", "momentum_buffer")


def make_optimizer(optimizer: Optimizer, parameter: nn.Parameter) -> torch.optim.Optimizer:
    """Makes the optimizer of a resolved specification; one fused kernel does a step.

    Args:
        optimizer: Resolved.
        parameter: The flat parameter.
    """
    rate = optimizer.learning_rate or 0.0
    decay = optimizer.weight_decay or 0.0
    if optimizer.kind == "sgd":
        momentum = optimizer.momentum or 0.0
        return torch.optim.SGD(
            [parameter],
            rate,
            momentum,
            weight_decay=decay,
            nesterov=optimizer.nesterov,
            fused=True,
        )
    kind = torch.optim.AdamW if optimizer.kind == "adamw" else torch.optim.Adam
    return kind([parameter], rate, optimizer.betas, weight_decay=decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns what the optimizer remembers by name; tensors, not copies."""
    (parameter,) = optimizer.param_groups[0]["params"]
    state: dict[str, Tensor] = optimizer.state.get(parameter, {})
    return {name: state[name] for name in _STATE_NAMES if state.get(name) is not None}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], steps: int
) -> None:
    """Makes an optimizer go on where another stopped.

    Args:
        optimizer: A fresh one of the same kind.
        tensors: What `optimizer_tensors` gave; empty before the first step.
        steps: Updates that were done.
    """
    if not tensors:
        return
    (parameter,) = optimizer.param_groups[0]["params"]
    device = parameter.device
    state: dict[str, Tensor] = {
        name: tensor.to(device, copy=True) for name, tensor in tensors.items()
    }
    if "exp_avg" in state:
        state["step"] = torch.tensor(float(steps), device=device)
    optimizer.state[parameter] = state

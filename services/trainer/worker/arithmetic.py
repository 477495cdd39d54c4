"""On what and in which precision a worker computes.

Autocast lets matrix products and convolutions take 16-bit copies of weights and activations; the
weights themselves, their gradients and the optimizer stay in single precision. Losses are computed
in single precision.

What concerns GPUs is written for one and has not been run on one.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from common.networks.specification import NetworkSpecification
from services.trainer.domain.precision import Kind, has_few_digits, processor_precision
from services.trainer.domain.specification import Precision

CPU = torch.device("cpu")

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FIRST_SCALE = 2.0**16
_LARGEST_SCALE = 2.0**24
_GROWTH_STEPS = 2_000


@dataclass
class LossScale:
    """What losses are multiplied by, so that small gradients do not vanish in 16 bits.

    It is halved when a gradient is too large, and that step skipped; it is doubled after 2,000 good
    steps. All workers see the same summed gradients, and so have the same scale.

    Source: Micikevicius et al., Mixed precision training (ICLR 2018).

    Attributes:
        factor: The scale.
        good_steps: Good steps since it changed.
        skipped: Steps that were skipped since the training began.
    """

    factor: float = _FIRST_SCALE
    good_steps: int = 0
    skipped: int = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether gradients are no numbers even unscaled."""
        return self.factor < 1

    def note(self, *, is_good: bool) -> None:
        """Takes note of a step."""
        if not is_good:
            self.factor /= 2
            self.good_steps = 0
            self.skipped += 1
            return
        self.good_steps += 1
        if self.good_steps >= _GROWTH_STEPS:
            self.factor = min(2 * self.factor, _LARGEST_SCALE)
            self.good_steps = 0


@dataclass
class Arithmetic:
    """How a worker computes.

    Attributes:
        device: Where its tensors are.
        kind: Precision of products and convolutions.
        scale: Of losses; used in fp16 only.
    """

    device: torch.device = CPU
    kind: Kind = "fp32"
    scale: LossScale = field(default_factory=LossScale)

    @property
    def skipped_steps(self) -> int:
        """Steps that were skipped because a gradient was too large for 16 bits."""
        return self.scale.skipped

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context in which networks are called in training."""
        dtype, enabled = _TYPES.get(self.kind, torch.bfloat16), self.kind != "fp32"
        return torch.autocast(self.device.type, dtype=dtype, enabled=enabled)

    def scaled(self, loss: Tensor) -> Tensor:
        """Returns the loss to go backward from."""
        return loss * self.scale.factor if self.kind == "fp16" else loss

    def unscale(self, gradient: Tensor) -> bool:
        """Takes the scale out of a gradient, in place.

        Args:
            gradient: Summed over all workers.

        Returns:
            Whether the step counts; otherwise it is to be skipped.
        """
        if self.kind != "fp16":
            return True
        gradient.mul_(1 / self.scale.factor)
        is_good = bool(torch.isfinite(gradient).all())
        self.scale.note(is_good=is_good)
        return is_good


def choose_precision(asked: Precision, network: NetworkSpecification, device: torch.device) -> Kind:
    """Returns the precision to train in.

    Args:
        asked: What the specification says.
        network: What is trained.
        device: Where.
    """
    if device.type != "cuda" or asked != "auto" or not has_few_digits(network):
        return processor_precision(asked, network)
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"

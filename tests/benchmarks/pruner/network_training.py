"""Training and fine-tuning of networks on the CIFAR-10 sample, the same for all contenders."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, SCALE = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
BATCH = 128
_MOMENTUM, _DECAY, _SHIFT = 0.9, 5e-4, 4
_TEMPERATURE, _TEACHING = 4.0, 0.7


@dataclass(frozen=True)
class Pictures:
    """Standardised pictures [rows, 3, 32, 32] and their classes.

    Attributes:
        inputs: To learn from.
        truth: Of these.
        test_inputs: For the last measure alone.
        test_truth: Of these.
    """

    inputs: Tensor
    truth: Tensor
    test_inputs: Tensor
    test_truth: Tensor

    @classmethod
    def read(cls, path: Path, count: int | None = None) -> "Pictures":
        """Reads the sample.

        Args:
            path: Of `cifar10_sample.npz`.
            count: How many to learn from; None for all.
        """
        with np.load(path) as found:
            return cls(
                _standardised(found["Xtr"][:count]),
                torch.from_numpy(found["ytr"][:count]).long(),
                _standardised(found["Xte"]),
                torch.from_numpy(found["yte"]).long(),
            )

    def batches(self, count: int, rows: int, seed: int = 0) -> list[tuple[tuple[Tensor], Tensor]]:
        """Returns some batches to learn from."""
        chosen = torch.randperm(len(self.inputs), generator=torch.Generator().manual_seed(seed))
        parts = torch.split(chosen[: count * rows], rows)
        return [((self.inputs[each],), self.truth[each]) for each in parts]


def _standardised(pictures: np.ndarray) -> Tensor:
    mean, scale = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, SCALE))
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / scale


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        epochs: Parts of one too.
        rate: Of learning, at most; it falls along a cosine.
        seed: Of the order and of what is done to pictures.
        warm_up: Share of the steps in which the rate rises before (Smith and Topin, 2018).
    """

    epochs: float
    rate: float
    seed: int
    warm_up: float = 0.0


def train(
    network: nn.Module, pictures: Pictures, training: Training, teacher: nn.Module | None = None
) -> None:
    """Trains in half precision, which is quicker here; weights are float32.

    Args:
        network: Is changed, and put into evaluation at last.
        pictures: Are moved and mirrored.
        training: How.
        teacher: Network whose scores are learned too (Hinton et al., 2015).
    """
    generator = torch.Generator().manual_seed(training.seed)
    optimiser = torch.optim.SGD(
        network.parameters(), training.rate, _MOMENTUM, weight_decay=_DECAY, nesterov=True
    )
    steps = round(training.epochs * math.ceil(len(pictures.inputs) / BATCH))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _share_of_rate((step + 0.5) / max(steps, 1), training.warm_up)
    )
    network.train()
    done = 0
    while done < steps:
        order = torch.randperm(len(pictures.inputs), generator=generator)
        for indices in torch.split(order, BATCH)[: steps - done]:
            inputs = _moved(pictures.inputs[indices], generator)
            optimiser.zero_grad()
            torch.autograd.backward(_loss(network, inputs, pictures.truth[indices], teacher))
            optimiser.step()
            schedule.step()
            done += 1
    network.eval()


def _share_of_rate(done: float, warm_up: float) -> float:
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


def _loss(network: nn.Module, inputs: Tensor, truth: Tensor, teacher: nn.Module | None) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        scores: Tensor = network(inputs)
    loss = functional.cross_entropy(scores.float(), truth)
    if teacher is None:
        return loss
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        taught = teacher(inputs)
    own, other = (each.float() / _TEMPERATURE for each in (scores, taught))
    taught_loss = functional.kl_div(
        own.log_softmax(1), other.log_softmax(1), reduction="batchmean", log_target=True
    )
    return (1 - _TEACHING) * loss + _TEACHING * _TEMPERATURE**2 * taught_loss


def _moved(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Returns pictures, each moved in its own way and perhaps mirrored."""
    count, _, size, _ = pictures.shape
    mirrored = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    padded = functional.pad(torch.where(mirrored, pictures.flip(3), pictures), (_SHIFT,) * 4)
    begins = torch.randint(0, 2 * _SHIFT + 1, (2, count, 1), generator=generator)
    rows, columns = begins + torch.arange(size)
    found = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2).contiguous()

"""Trains a smaller network a little, with the original as teacher."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_TEMPERATURE, _TAUGHT = 4.0, 0.7
_DECAY, _LARGEST_STEP = 1e-4, 5.0


@dataclass(frozen=True)
class Examples:
    """Rows that a network learns from.

    Attributes:
        inputs: As the network takes them.
        truth: Positions of classes, or standardised values [rows, 1].
        has_classes: Which of the two.
        rate: Learning rate of the first step; it falls to 0 as a cosine.
        batch: Rows of a step.
    """

    inputs: tuple[Tensor, ...]
    truth: Tensor
    has_classes: bool
    rate: float = 1e-3
    batch: int = 128

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.truth)

    def take(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Returns some rows."""
        return tuple(each[rows] for each in self.inputs), self.truth[rows]

    def batches(self, count: int, seed: int) -> list[tuple[Sequence[Tensor], Tensor]]:
        """Returns so many batches of rows drawn at random, or fewer where there are not so many."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(self.count, generator=generator)[: count * self.batch]
        return [self.take(rows) for rows in torch.split(order, self.batch) if len(rows) > 1]

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Returns the mean loss of outputs."""
        if self.has_classes:
            return functional.cross_entropy(outputs, truth)
        return functional.mse_loss(outputs, truth)

    def taught_loss(self, outputs: Tensor, truth: Tensor, said: Tensor) -> Tensor:
        """Returns the loss beside a teacher's outputs.

        Source: Hinton et al., Distilling the knowledge in a neural network (2015).
        """
        if not self.has_classes:
            return (1 - _TAUGHT) * self.loss(outputs, truth) + _TAUGHT * self.loss(outputs, said)
        soft = functional.kl_div(
            functional.log_softmax(outputs / _TEMPERATURE, 1),
            functional.log_softmax(said / _TEMPERATURE, 1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - _TAUGHT) * self.loss(outputs, truth) + _TAUGHT * _TEMPERATURE**2 * soft


def tune(
    network: nn.Module,
    teacher: nn.Module,
    examples: Examples,
    epochs: float,
    seconds: float,
    seed: int,
    check: Callable[[], None],
) -> None:
    """Trains a network by Adam (Kingma and Ba, 2015), and puts it into evaluation.

    Args:
        network: Is changed.
        teacher: Says what it should; in evaluation.
        examples: What it learns from.
        epochs: Over all rows, also parts of one.
        seconds: It ends then at the latest.
        seed: Of the order of rows.
        check: Called before each step; raises to stop.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = max(round(epochs * math.ceil(examples.count / examples.batch)), 1)
    optimizer = torch.optim.AdamW(network.parameters(), examples.rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    end = time.monotonic() + seconds
    network.train()
    done = 0
    while done < steps and time.monotonic() < end:
        order = torch.randperm(examples.count, generator=generator)
        for rows in torch.split(order, examples.batch):
            if len(rows) < 2 or done == steps or time.monotonic() > end:
                break
            check()
            inputs, truth = examples.take(rows)
            with torch.no_grad():
                said = teacher(*inputs)
            loss = examples.taught_loss(network(*inputs), truth, said)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_STEP)
            optimizer.step()
            schedule.step()
            done += 1
    network.eval()

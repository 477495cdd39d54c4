"""Trains a smaller network a little, with the original as teacher."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.models.preprocessing import Task
from common.networks.distillation import class_distances, label_distances
from common.networks.growing_decay import GrowingDecay
from common.networks.specification import NetworkSpecification

TEMPERATURE, TAUGHT = 4.0, 0.7
WEIGHT_DECAY, CLIP_NORM = 1e-4, 5.0
_LEFT = 0.02
_MEAN_DECAY = 0.25 - 1 / math.pi**2
"""Of share of steps done x cosine, the mean over a training."""


@dataclass(frozen=True)
class Examples:
    """Rows that a network learns from.

    Attributes:
        inputs: As the network takes them.
        truth: Positions of classes; standardised values [rows, 1]; of labels 0 or 1 [rows, labels].
        task: Which of these.
        rate: Learning rate of the first step; it falls to 0 as a cosine.
        batch: Rows of a step.
    """

    inputs: tuple[Tensor, ...]
    truth: Tensor
    task: Task
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
        if self.task == "classification":
            return functional.cross_entropy(outputs, truth)
        if self.task == "multi_label":
            return functional.binary_cross_entropy_with_logits(outputs, truth)
        return functional.mse_loss(outputs, truth)

    def taught_loss(self, outputs: Tensor, truth: Tensor, said: Tensor) -> Tensor:
        """Returns the loss beside a teacher's outputs.

        Source: Hinton et al., Distilling the knowledge in a neural network (2015).
        """
        if self.task == "regression":
            return (1 - TAUGHT) * self.loss(outputs, truth) + TAUGHT * self.loss(outputs, said)
        distances = class_distances if self.task == "classification" else label_distances
        soft = distances(outputs, said, TEMPERATURE).mean()
        return (1 - TAUGHT) * self.loss(outputs, truth) + TAUGHT * soft


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Attributes:
        epochs: Over all rows, also parts of one.
        seconds: It ends then at the latest.
        seed: Of the order of rows.
        vanishing: Which numbers are to be nearly 0 at the end: 1 for those, 0 for others, by the
            names of some of the network's parameters.
    """

    epochs: float
    seconds: float
    seed: int
    vanishing: Mapping[str, Tensor] = field(default_factory=dict)


class Tutor(Protocol):
    """Trains networks, with the original as teacher."""

    def train(
        self, network: nn.Module, specification: NetworkSpecification, what: str, plan: Plan
    ) -> str:
        """Trains a network, which is changed and put into evaluation.

        Args:
            network: Built from the specification.
            specification: Complete.
            what: What the training is for, a few words.
            plan: How.

        Returns:
            Where it was trained and on what, as a sentence's end.
        """
        ...


@dataclass(frozen=True)
class OwnTutor:
    """Trains in this process.

    Attributes:
        teacher: The original, in evaluation.
        examples: Rows to learn from.
        check: Called before each step; raises to stop.
    """

    teacher: nn.Module
    examples: Examples
    check: Callable[[], None]

    def train(
        self, network: nn.Module, specification: NetworkSpecification, what: str, plan: Plan
    ) -> str:
        """Trains a network; see `Tutor`."""
        epochs = tune(network, self.teacher, self.examples, plan, self.check)
        rows = self.examples.count
        return f"for {epochs:.2g} epochs of {rows:,} rows in the pruning's own process"


def strength_of(rate: float, steps: int) -> float:
    """Returns the strength of a growing decay that leaves a fiftieth of a number.

    Args:
        rate: Learning rate of the first step; it falls to 0 as a cosine.
        steps: Of the training.
    """
    return -math.log(_LEFT) / (_MEAN_DECAY * rate * steps)


def tune(
    network: nn.Module,
    teacher: nn.Module,
    examples: Examples,
    plan: Plan,
    check: Callable[[], None],
) -> float:
    """Trains a network by Adam (Kingma and Ba, 2015), and puts it into evaluation.

    Args:
        network: Is changed.
        teacher: Says what it should; in evaluation.
        examples: What it learns from.
        plan: How.
        check: Called before each step; raises to stop.

    Returns:
        How many epochs there was time for.
    """
    generator = torch.Generator().manual_seed(plan.seed)
    steps_each = math.ceil(examples.count / examples.batch)
    steps = max(round(plan.epochs * steps_each), 1)
    optimizer = torch.optim.AdamW(network.parameters(), examples.rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    vanish = _vanishing(network, plan, examples.rate, steps)
    end = time.monotonic() + plan.seconds
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
            nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            done += 1
            vanish(done, float(schedule.get_last_lr()[0]))
            schedule.step()
    network.eval()
    return done / steps_each


def _vanishing(
    network: nn.Module, plan: Plan, rate: float, steps: int
) -> Callable[[int, float], None]:
    """Returns what is done after each step, of the steps done and the learning rate."""
    strength = strength_of(rate, steps)
    decays = [
        (parameter, GrowingDecay(strength * plan.vanishing[name], steps))
        for name, parameter in network.named_parameters()
        if name in plan.vanishing
    ]

    def vanish(step: int, rate: float) -> None:
        for parameter, decay in decays:
            decay.apply(parameter, step, rate)

    return vanish

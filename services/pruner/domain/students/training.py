"""Trains a small network to give what is wanted of rows, which may lie between classes."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

_RATE, _WEIGHT_DECAY, _CLIP_NORM = 5e-3, 1e-4, 1.0
_BATCH = 256
_WARM_SHARE = 0.05
_TRIED_STEPS, _TRIED_SECONDS = 20, 1.0


@dataclass(frozen=True)
class Taught:
    """Rows, and what is wanted of them.

    Attributes:
        inputs: As the network takes them.
        wanted: Probabilities (rows, classes), or standardised values (rows, 1).
        weights: How much each row counts, (rows,).
        has_classes: Which of the two is wanted.
    """

    inputs: tuple[Tensor, ...]
    wanted: Tensor
    weights: Tensor
    has_classes: bool

    def loss(self, network: nn.Module, rows: Tensor) -> Tensor:
        """Returns the mean distance of a network's outputs to what is wanted of some rows."""
        outputs = network(*(each[rows] for each in self.inputs))
        wanted = self.wanted[rows]
        if self.has_classes:
            distances = functional.cross_entropy(outputs, wanted, reduction="none")
        else:
            distances = functional.mse_loss(outputs, wanted, reduction="none").mean(dim=1)
        return (self.weights[rows] * distances).mean()

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yields the rows of one batch after the other, without end."""
        count = len(self.wanted)
        while True:
            order = torch.randperm(count, generator=generator)
            yield from torch.split(order, _BATCH)


@dataclass(frozen=True)
class Course:
    """How long a network is trained.

    Attributes:
        steps: Of the optimiser.
        seconds: It ends then at the latest.
        seed: Of the order of rows.
        check: Called before each step; raises to stop.
    """

    steps: int
    seconds: float
    seed: int
    check: Callable[[], None]


def train(network: nn.Module, taught: Taught, course: Course) -> int:
    """Trains a network by Adam (Kingma and Ba, 2015), and puts it into evaluation.

    Where the time does not suffice for all steps there are fewer from the beginning on, so that the
    rate still falls to 0.

    Args:
        network: Is changed.
        taught: What it learns.
        course: How long. Where the time suffices, the same seed gives the same network.

    Returns:
        How many steps it was trained.
    """
    end = time.monotonic() + course.seconds
    steps = _affordable(copy.deepcopy(network), taught, course)
    left = end - time.monotonic()
    return _trained(network, taught, replace(course, steps=steps, seconds=left))


def _affordable(network: nn.Module, taught: Taught, course: Course) -> int:
    """Returns how many steps there is time for."""
    _trained(network, taught, replace(course, steps=1))  # takes long and tells little
    begin = time.monotonic()
    tried = _trained(network, taught, replace(course, steps=_TRIED_STEPS, seconds=_TRIED_SECONDS))
    each = (time.monotonic() - begin) / max(tried, 1)
    return max(min(course.steps, int(course.seconds / each)), 1)


def _trained(network: nn.Module, taught: Taught, course: Course) -> int:
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=course.steps + 1, pct_start=_WARM_SHARE
    )
    end = time.monotonic() + course.seconds
    batches = taught.batches(torch.Generator().manual_seed(course.seed))
    network.train()
    done = 0
    while done < course.steps and time.monotonic() < end:
        course.check()
        loss = taught.loss(network, next(batches))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
        optimizer.step()
        schedule.step()
        done += 1
    network.eval()
    return done

"""One optimizer step and one validation over the workers of a world."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from common.networks.growing_decay import GrowingDecay
from services.trainer.domain.estimate import evaluation_rows
from services.trainer.domain.objective import Objective, Objectives
from services.trainer.domain.optimizers import make_optimizer, set_learning_rate
from services.trainer.domain.sampling import rank_slice
from services.trainer.domain.specification import TrainingSpecification
from services.trainer.worker.arithmetic import CPU, Arithmetic
from services.trainer.worker.averaging import WeightAverage
from services.trainer.worker.batches import Batches, Share
from services.trainer.worker.data import Batch, Examples
from services.trainer.worker.flat import FlatNetwork
from services.trainer.worker.pupil import Pupil
from services.trainer.worker.reduction.exchange import make_exchange
from services.trainer.worker.reduction.reducer import Reducer


class DivergedError(Exception):
    """The loss is no longer a number, or its gradients are none.

    Attributes:
        step: The step, counted from 1, after which it was seen.
    """

    def __init__(self, step: int, loss: float, what: str = "loss") -> None:
        became = f"loss became {loss}" if what == "loss" else f"{what} overflowed"
        super().__init__(f"The {became} at step {step}.")
        self.step = step


class Engine:
    """Network, optimizer and data of one worker.

    Attributes:
        flat: The network.
        optimizer: Over its flat parameter.
        average: Of its weights, which becomes the model; None where the weights themselves do.
        arithmetic: How it computes.
        waited: Seconds that the last step waited for the other workers.
        wants_commit: Whether this worker would have all commit after the next step.
        is_commit_wanted: Whether a worker would have had all commit after the last step; the same
            on all of them.
        workers: Workers in the world.
        steps_per_epoch: Optimizer steps of an epoch.
    """

    def __init__(
        self,
        pupil: Pupil,
        objectives: Objectives,
        rows: Examples,
        specification: TrainingSpecification,
        reducer: Reducer,
        rank: int,
        size: int,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            pupil: The network, which is moved into flat form, and what acts upon it.
            objectives: What it is trained for.
            rows: The data.
            specification: Resolved.
            reducer: Sums over the world's workers.
            rank: This worker.
            size: Workers in the world.
            arithmetic: How it computes; single precision on the processor by default.
        """
        self.arithmetic = arithmetic or Arithmetic()
        self._device = self.arithmetic.device
        self.waited = 0.0
        self.wants_commit = self.is_commit_wanted = False
        self.flat = FlatNetwork(pupil.network, objectives.learning.sums, self._device)
        self.optimizer = make_optimizer(specification.optimizer, self.flat.parameters)
        decay = specification.optimizer.ema_decay
        self.average = None if decay is None else WeightAverage(decay, self.flat)
        self._batches = Batches(rows, specification, rank, size)
        self.steps_per_epoch = self._batches.steps_per_epoch
        self._teacher = pupil.teacher
        if pupil.teacher is not None:
            pupil.teacher.network.to(self._device)
        self._decay = self._growing_decay(pupil, specification.epochs * self.steps_per_epoch)
        self._objective = objectives.learning
        self._measuring = objectives.measuring
        self._rows = rows
        self._specification = specification
        self._reducer = reducer
        self._exchange = make_exchange(specification.communication, self.flat, reducer, size)
        self._rank = rank
        self.workers = size
        self._evaluation_rows = evaluation_rows(specification)
        self._needs_pairs = any(
            isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
            for module in self.flat.network.modules()
        )

    @property
    def is_first(self) -> bool:
        """Whether this is the world's first worker."""
        return self._rank == 0

    @property
    def has_validation(self) -> bool:
        """Whether there are rows to validate on."""
        return len(self._rows.validation) > 0

    def rows_of(self, number: int) -> int:
        """Returns the rows of a step over all workers; see `step`."""
        return self._batches.total(number)

    def step(self, number: int, learning_rate: float) -> list[float]:
        """Does one optimizer step.

        Args:
            number: Steps done before, from 0.
            learning_rate: The learning rate.

        Returns:
            The objective's sums over all rows of the global batch, before the update.

        Raises:
            DivergedError: The loss of the global batch is not finite, or its gradients are not,
                however small the loss is scaled.
            HorovodInternalError: Another worker is gone.
        """
        self._backward(number, self._batches.take(number))
        self._exchange.start()
        self._batches.read_ahead(number + 1)
        begun = time.perf_counter()
        self._exchange.wait()
        self.waited = time.perf_counter() - begun
        *sums, wish = self.flat.words.tolist()
        self.is_commit_wanted = wish > 0
        if not math.isfinite(sums[1]):
            raise DivergedError(number + 1, sums[1])
        if self.arithmetic.unscale(self.flat.gradient):
            self._update(number, learning_rate)
        elif self.arithmetic.scale.is_exhausted:
            raise DivergedError(number + 1, sums[1], "gradients")
        return sums

    def _update(self, number: int, learning_rate: float) -> None:
        """Moves the weights by the summed gradients."""
        self._clip()
        set_learning_rate(self.optimizer, learning_rate)
        self.optimizer.step()
        if self._decay is not None:
            self._decay.apply(self.flat.parameters, number + 1, learning_rate)
        if self.average is not None:
            self.average.update(number + 1)

    def evaluate(self, beat: Callable[[], None]) -> list[float]:
        """Returns the sums of what would be the model now over all validation rows.

        Args:
            beat: Called after each batch.
        """
        with nullcontext() if self.average is None else self.average.in_place():
            return self.measure(self._rows.validation, beat)

    def measure(self, rows: npt.NDArray[np.int64], beat: Callable[[], None]) -> list[float]:
        """Returns the sums of the network's own weights over these rows, which the workers share.

        Args:
            rows: Row numbers.
            beat: Called after each batch.
        """
        mine = rows[rank_slice(len(rows), self._rank, self.workers)]
        network = self.flat.network
        objective, at_once = self._measuring, self._evaluation_rows
        total = evaluate(network, objective, self._rows, mine, at_once, beat, self._device)
        self._reducer.start(total)
        self._reducer.wait()
        sums: list[float] = total.tolist()
        return sums

    def agreed(self, number: float) -> float:
        """Returns the number of rank 0, on every worker."""
        return float(self._reducer.broadcast(repr(number).encode()))

    def result(self) -> tuple[Tensor, Tensor]:
        """Returns copies of the parameters and buffers that would be the model now."""
        source = self.flat if self.average is None else self.average
        return source.parameters.detach().clone(), source.buffers.clone()

    def _backward(self, number: int, share: Share) -> None:
        """Leaves this worker's part of gradients, buffers and sums in the exchange."""
        self.flat.zero_gradients()
        self.flat.words.zero_()
        if self.wants_commit:
            self.flat.wish.fill_(1)
        self._seed(number)
        for batch in share.batches():
            self._add_gradients(batch.to(self._device), share.weight)
        self.flat.gather_gradients()
        if self.workers > 1:
            self.flat.buffers.mul_(share.size / share.total)

    def _add_gradients(self, batch: Batch, weight: float) -> None:
        """Adds what a micro-batch contributes to gradients and sums.

        Args:
            batch: Its rows.
            weight: Sum of weights of the global batch.
        """
        # A single row has no batch statistics: it is normalised by the running ones.
        self.flat.network.train(len(batch.target) > 1 or not self._needs_pairs)
        with self.arithmetic.autocast():
            output = self.flat.network(*batch.inputs).float()
        losses = self._objective.losses(output, batch.target)
        if weight > 0:
            learned = self._taught(losses, output, batch)
            torch.autograd.backward(self.arithmetic.scaled(batch.weight @ learned / weight))
        with torch.no_grad():
            sums = self._objective.add_up(output, losses, batch.target, batch.weight)
            self.flat.sums.add_(sums)

    def _taught(self, losses: Tensor, output: Tensor, batch: Batch) -> Tensor:
        """Returns the losses to learn from; those that are reported are against the truth alone."""
        if self._teacher is None:
            return losses
        with self.arithmetic.autocast():
            return self._teacher.mixed(losses, output, batch.inputs, self._objective)

    def _growing_decay(self, pupil: Pupil, steps: int) -> GrowingDecay | None:
        if not pupil.strengths:
            return None
        return GrowingDecay(self.flat.flattened(pupil.strengths), steps)

    def _seed(self, number: int) -> None:
        """Makes dropout a function of seed, step and rank: no generator is part of the state."""
        words = np.random.SeedSequence([self._specification.seed, number, self._rank])
        seed = int(words.generate_state(1, np.uint64)[0] >> 1)
        if self._device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _clip(self) -> None:
        limit = self._specification.optimizer.clip_norm
        if limit is None:
            return
        norm = float(self.flat.gradient.norm())
        if norm > limit:
            self.flat.gradient.mul_(limit / norm)


def evaluate(
    network: nn.Module,
    objective: Objective,
    data: Examples,
    rows: npt.NDArray[np.int64],
    at_once: int,
    beat: Callable[[], None],
    device: torch.device = CPU,
) -> Tensor:
    """Returns the objective's sums over rows, float64, shape (sums,).

    Args:
        network: The network; left in evaluation mode.
        objective: What it was trained for.
        data: The data.
        rows: Row numbers.
        at_once: Rows of one forward pass.
        beat: Called after each batch.
        device: Where the network is.
    """
    total = torch.zeros(objective.sums, dtype=torch.float64, device=device)
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), at_once):
            batch = data.batch(rows[start : start + at_once]).to(device)
            output = network(*batch.inputs)
            losses = objective.losses(output, batch.target)
            total += objective.add_up(output, losses, batch.target, batch.weight)
            beat()
    return total

"""One worker's rows of each step, in micro-batches, the first of them read ahead."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from services.trainer.domain.estimate import steps_per_epoch
from services.trainer.domain.sampling import EvenSampler, global_batch, rank_slice
from services.trainer.domain.specification import TrainingSpecification
from services.trainer.worker.augmenting import Augmenter, StepRows
from services.trainer.worker.data import Batch, Examples

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """One worker's part of a global batch.

    Attributes:
        size: Its number of rows.
        total: Rows of the global batch.
        weight: Sum of their weights.
    """

    size: int
    total: int
    weight: float
    _read: Callable[[Rows], Batch]
    _first: Batch
    _others: Sequence[Rows]

    def batches(self) -> Iterator[Batch]:
        """Yields the micro-batches, none of them empty; only one is held at a time."""
        if self.size > 0:
            yield self._first
        for positions in self._others:
            yield self._read(positions)


class Batches:
    """Knows what a worker trains on in each step of a stage."""

    def __init__(
        self, data: Examples, specification: TrainingSpecification, rank: int, size: int
    ) -> None:
        """Takes what decides on it.

        Args:
            data: The rows.
            specification: Resolved.
            rank: This worker.
            size: Workers in the world.
        """
        self.steps_per_epoch = steps_per_epoch(len(data.training), specification.batch_size)
        self._data = data
        self._batch_size = specification.batch_size
        self._seed = specification.seed
        self._even: EvenSampler | None = None
        if specification.loss is not None and specification.loss.balanced_sampling:
            classes = data.training_classes()
            self._even = EvenSampler(classes, specification.batch_size, specification.seed)
        self._augmenter: Augmenter | None = None
        if specification.augmentation is not None:
            self._augmenter = Augmenter(data, specification.augmentation, specification.seed)
        self._pieces = specification.optimizer.accumulation_steps
        self._rank = rank
        self._size = size
        self._ahead: tuple[int, Share] | None = None

    def total(self, number: int) -> int:
        """Returns the rows of a step over all workers; see `take`."""
        start = number % self.steps_per_epoch * self._batch_size
        return min(self._batch_size, len(self._data.training) - start)

    def take(self, number: int) -> Share:
        """Returns this worker's part of a step.

        Args:
            number: Steps done before, from 0.
        """
        if self._ahead is not None and self._ahead[0] == number:
            return self._ahead[1]
        return self._share(number)

    def read_ahead(self, number: int) -> None:
        """Has the next `take` of this step find its rows gathered."""
        self._ahead = number, self._share(number)

    def _share(self, number: int) -> Share:
        epoch, step = divmod(number, self.steps_per_epoch)
        rows = self._data.training[self._positions(epoch, step)]
        of_step = StepRows(epoch, step * self._batch_size, rows)
        mine = np.arange(len(rows))[rank_slice(len(rows), self._rank, self._size)]
        pieces = [mine[rank_slice(len(mine), each, self._pieces)] for each in range(self._pieces)]
        first, *others = [piece for piece in pieces if len(piece) > 0] or [mine]
        weight = float(self._data.weights(rows).sum())
        read = partial(self._read, of_step)
        return Share(len(mine), len(rows), weight, read, read(first), others)

    def _read(self, step: StepRows, positions: Rows) -> Batch:
        """Returns the rows of a step at these positions."""
        if self._augmenter is None:
            return self._data.batch(step.rows[positions])
        return self._augmenter.batch(step, positions)

    def _positions(self, epoch: int, step: int) -> Rows:
        """Returns the places of a step's rows among the training rows."""
        if self._even is not None:
            return self._even.batch(epoch, step)
        rows = len(self._data.training)
        return global_batch(rows, self._batch_size, self._seed, epoch, step)

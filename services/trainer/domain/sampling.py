"""Which rows a step trains on: a pure function of seed, epoch and step.

The resume state is (epoch, step) and nothing else, the global batch keeps its size whatever the
number of workers, and every row is seen once per epoch, also when workers come and go. Where
classes are drawn evenly, all that stays but the last.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def global_batch(rows: int, batch_size: int, seed: int, epoch: int, step: int) -> Rows:
    """Returns the training rows of one step over all workers.

    Args:
        rows: Number of training rows.
        batch_size: Rows of a step over all workers; the last step of an epoch takes what is left.
        seed: The run's seed.
        epoch: From 0.
        step: Step within the epoch, from 0.

    Returns:
        Positions in the list of training rows, shape (at most batch_size,).
    """
    start = step * batch_size
    return _epoch_order(rows, seed, epoch)[start : start + batch_size]


class EvenSampler:
    """Draws classes equally often.

    An epoch is as long as without. It is made of rounds in which each class has one turn, so that
    batches are even too. Rows of a class take its turns in a shuffled order, and again in another
    once all have had theirs: none is drawn twice more than another of its class.
    """

    def __init__(self, classes: Rows, batch_size: int, seed: int) -> None:
        """Sorts the rows by class.

        Args:
            classes: Class code of each training row, shape (rows,).
            batch_size: See `global_batch`.
            seed: The run's seed.
        """
        _, sizes = np.unique(classes, return_counts=True)
        self._members = np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])
        self._rows = len(classes)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch: tuple[int, Rows] | None = None

    def batch(self, epoch: int, step: int) -> Rows:
        """Returns the training rows of one step over all workers; see `global_batch`."""
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._order(epoch)
        start = step * self._batch_size
        return self._epoch[1][start : start + self._batch_size]

    def _order(self, epoch: int) -> Rows:
        generator = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        count = len(self._members)
        rounds = np.tile(np.arange(count), (-(-self._rows // count), 1))
        turns = generator.permuted(rounds, axis=1).ravel()[: self._rows]
        ends = np.cumsum(np.bincount(turns, minlength=count))[:-1]
        order = np.empty(self._rows, np.int64)
        places_of = np.split(np.argsort(turns, kind="stable"), ends)
        for members, places in zip(self._members, places_of, strict=True):
            passes = np.tile(members, (-(-len(places) // len(members)), 1))
            order[places] = generator.permuted(passes, axis=1).ravel()[: len(places)]
        return order


def rank_slice(length: int, rank: int, size: int) -> slice:
    """Returns the part of `length` rows that a rank takes; parts differ by one row at most.

    Args:
        length: Number of rows to share.
        rank: The rank, from 0.
        size: Number of ranks.
    """
    return slice(length * rank // size, length * (rank + 1) // size)


@lru_cache(maxsize=2)
def _epoch_order(rows: int, seed: int, epoch: int) -> Rows:
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)
    order.setflags(write=False)
    return order

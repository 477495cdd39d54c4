"""Which rows a step trains on: a pure function of seed, epoch and step.

The resume state is (epoch, step) and nothing else, the global batch keeps its size whatever the
number of workers, and every row is seen once per epoch, also when workers come and go.
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

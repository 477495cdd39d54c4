"""Adasum: gradients that agree are averaged, those that have nothing in common are added up.

Horovod's own needs MPI or NCCL, which its builds for processors lack. This one has the same formula
and as little traffic as a sum: each worker gets one part of all workers' gradients, combines
those, and the parts are put together again.

Source: Maleki et al., Scaling distributed training with adaptive summation (MLSys 2021).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from services.trainer.worker.reduction.reducer import Reducer

_PRODUCTS = 3


def adasum(contribution: Tensor, reducer: Reducer, size: int) -> Tensor:
    """Combines what workers contribute to the mean gradient of a step, pair by pair.

    Args:
        contribution: This worker's: its rows' weighted gradients over the batch's whole weight,
            shape (parameters,). Their plain sum would be the mean gradient, whatever the slices.
        reducer: Joined to the world.
        size: Workers in the world, any number.

    Returns:
        The combination on every worker, the same shape. With even slices and a power of two of
        workers it is the paper's, of each worker's mean gradient.
    """
    length = -(-len(contribution) // size)
    padded = torch.nn.functional.pad(contribution, (0, length * size - len(contribution)))
    parts = list(reducer.scatter(padded).view(size, length))
    while len(parts) > 1:
        pairs = list(zip(parts[::2], parts[1::2], strict=False))
        products = _products(pairs)
        reducer.start(products)
        reducer.wait()
        single = parts[2 * len(pairs) :]
        merged = [
            merge(first, second, each)
            for (first, second), each in zip(pairs, products.tolist(), strict=True)
        ]
        parts = merged + single
    return reducer.gather(parts[0])[: len(contribution)]


def _products(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Returns this worker's part of first x second, first x first, second x second of each pair."""
    products = [[first @ second, first @ first, second @ second] for first, second in pairs]
    return torch.tensor(products, dtype=torch.float64)


def merge(first: Tensor, second: Tensor, products: Sequence[float]) -> Tensor:
    """Combines two contributions.

    Contributions of two workers are half their mean gradients each, hence the 2 in place of the
    paper's 1 and 1 / 2: equal ones make their sum, orthogonal ones twice that.

    Args:
        first: Part of a vector.
        second: The same part of another one.
        products: Inner products of the whole vectors: both, the first's, the second's.
    """
    both, own, other = products
    if own == 0 or other == 0:  # a worker without rows has no say
        return first + second
    return (2 - both / own) * first + (2 - both / other) * second

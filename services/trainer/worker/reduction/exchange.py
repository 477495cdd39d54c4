"""What workers exchange in a step, and how."""

from typing import Protocol

import torch

from services.trainer.domain.communication import Communication
from services.trainer.worker.flat import FlatNetwork
from services.trainer.worker.reduction.adasum import adasum
from services.trainer.worker.reduction.reducer import Reducer


class Exchange(Protocol):
    """Makes of each worker's gradients, buffers and sums those of the world."""

    def start(self) -> None:
        """Begins, with what lies in `FlatNetwork.exchange`."""
        ...

    def wait(self) -> None:
        """Returns when the world's lies there. Raises `HorovodInternalError`."""
        ...


def make_exchange(
    communication: Communication, flat: FlatNetwork, reducer: Reducer, size: int
) -> Exchange:
    """Returns the exchange of a specification.

    Args:
        communication: How gradients are added up.
        flat: The network.
        reducer: Joined to the world.
        size: Workers in the world; one has nothing to exchange.
    """
    if size > 1 and communication.reduction == "adasum":
        return AdasumExchange(flat, reducer, size)
    if size > 1 and communication.compression == "fp16":
        return HalvedExchange(flat, reducer)
    return SummedExchange(flat, reducer)


class SummedExchange:
    """One sum of everything: gradients are shares of the global batch's mean already."""

    def __init__(self, flat: FlatNetwork, reducer: Reducer) -> None:
        """Takes what is exchanged, and by whom."""
        self._flat = flat
        self._reducer = reducer

    def start(self) -> None:
        """Begins to add up."""
        self._reducer.start(self._flat.exchange)

    def wait(self) -> None:
        """Waits for the sum."""
        self._reducer.wait()


class HalvedExchange:
    """Gradients travel and are added up in half precision; buffers and sums are not."""

    def __init__(self, flat: FlatNetwork, reducer: Reducer) -> None:
        """Takes what is exchanged, and by whom."""
        self._flat = flat
        self._reducer = reducer
        self._halves = torch.empty_like(flat.gradient, dtype=torch.float16)

    def start(self) -> None:
        """Begins to add up."""
        self._halves.copy_(self._flat.gradient)
        self._reducer.start(self._halves)
        self._reducer.start(self._flat.others)

    def wait(self) -> None:
        """Waits for the sums."""
        self._reducer.wait()
        self._flat.gradient.copy_(self._halves)


class AdasumExchange:
    """Gradients are combined by Adasum, buffers and sums added up."""

    def __init__(self, flat: FlatNetwork, reducer: Reducer, size: int) -> None:
        """Takes what is exchanged, by whom, and among how many."""
        self._flat = flat
        self._reducer = reducer
        self._size = size

    def start(self) -> None:
        """Begins to add up buffers and sums."""
        self._reducer.start(self._flat.others)

    def wait(self) -> None:
        """Combines the gradients."""
        self._reducer.wait()
        self._flat.gradient.copy_(adasum(self._flat.gradient, self._reducer, self._size))

"""Adds tensors up over the workers of a world."""

import time
from typing import Any, Literal, Protocol, cast

import horovod.torch as hvd
import torch
from torch import Tensor

POLL_SECONDS = 0.0002

Transport = Literal["unspecified", "horovod", "shared_memory"]


class Reducer(Protocol):
    """Sums over workers. All workers make the same calls in the same order.

    Attributes:
        transport: What they go by.
    """

    transport: Transport

    def start(self, tensor: Tensor) -> None:
        """Begins to add up a tensor in place; several at a time differ in size or type."""
        ...

    def wait(self) -> None:
        """Returns when the tensors of `start` hold the sums on every worker."""
        ...

    def scatter(self, tensor: Tensor) -> Tensor:
        """Gives each worker its part of every worker's tensor.

        Args:
            tensor: Shape (workers x length,), the part of each worker by rank.

        Returns:
            What was this worker's part, by rank of who gave it, shape (workers x length,).
        """
        ...

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns the tensors of all workers by rank, one after the other, on every worker."""
        ...

    def broadcast(self, content: bytes) -> bytes:
        """Returns what rank 0 gave, on every worker."""
        ...


class SingleReducer:
    """A world of one: there is nobody to add up with."""

    transport: Transport = "unspecified"

    def start(self, tensor: Tensor) -> None:
        """Does nothing."""

    def wait(self) -> None:
        """Does nothing."""

    def scatter(self, tensor: Tensor) -> Tensor:
        """Returns the tensor."""
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns the tensor."""
        return tensor

    def broadcast(self, content: bytes) -> bytes:
        """Returns the content."""
        return content


class HorovodReducer:
    """Sums by Horovod, in the world that `hvd.init` has joined."""

    transport: Transport = "horovod"

    def __init__(self) -> None:
        self._handles: list[int] = []

    def start(self, tensor: Tensor) -> None:
        """Begins to add up a tensor in place."""
        name = f"sum.{tensor.dtype}.{tensor.numel()}"
        self._handles.append(hvd.allreduce_async_(tensor, name=name, op=hvd.Sum))

    def wait(self) -> None:
        """Waits for the sums.

        Raises:
            HorovodInternalError: Another worker is gone.
        """
        handles, self._handles = self._handles, []
        for handle in handles:
            _result(handle)

    def scatter(self, tensor: Tensor) -> Tensor:
        """Gives each worker its part. Raises `HorovodInternalError`."""
        # With the parts come their lengths, which are all the same.
        parts, _ = _result(hvd.alltoall_async(tensor, name=f"scatter.{tensor.numel()}"))
        return cast(Tensor, parts)

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns the tensors of all. Raises `HorovodInternalError`."""
        return cast(Tensor, _result(hvd.allgather_async(tensor, name=f"gather.{tensor.numel()}")))

    def broadcast(self, content: bytes) -> bytes:
        """Sends the bytes of rank 0 to all, length first.

        Raises:
            HorovodInternalError: Another worker is gone.
        """
        length = torch.tensor([len(content)], dtype=torch.int64)
        hvd.broadcast_(length, 0, name="broadcast.length")
        room = torch.empty(int(length), dtype=torch.uint8)
        if hvd.rank() == 0:
            room = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        hvd.broadcast_(room, 0, name="broadcast.content")
        return room.numpy().tobytes()


def _result(handle: int) -> Any:
    """Waits for an operation.

    Horovod's own wait spins: with another worker late by 0.1 s it takes 0.09 s of processor time
    from Horovod's thread and from all others of the host. Looking every 0.2 ms does not.
    """
    while not hvd.poll(handle):
        time.sleep(POLL_SECONDS)
    return hvd.synchronize(handle)

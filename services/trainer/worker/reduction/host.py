"""Adds tensors up over the workers of one host, in memory that they share.

Gloo sends every number through the kernel, and its sums wait for the looks of Horovod's background
thread. Between processes of one host a sum needs neither: each worker writes its numbers where all
can read them, adds up a part of them, and takes the others' parts.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from services.trainer.domain.sampling import rank_slice
from services.trainer.worker.reduction.meeting import Meeting, meet_on_one_host
from services.trainer.worker.reduction.reducer import Reducer, Transport

_ROOM_BYTES = 4 * 1024**2
"""What a worker shares at a time: large enough for few meetings, small enough for caches."""
_ROOMS = 2
"""Rooms of a worker, in turn: who writes into one knows that all have read what was there."""


def reducer_on_one_host(reducer: Reducer, rank: int, size: int) -> "HostReducer | None":
    """Returns a reducer of the same world that needs no network, where its workers share a host.

    Args:
        reducer: Joined to the world; all workers call this at the same time.
        rank: This worker.
        size: Workers in the world, at least two.

    Returns:
        The reducer; None on every worker if one of them is on another host.

    Raises:
        HorovodInternalError: Another worker is gone.
    """
    meeting = meet_on_one_host(reducer, rank, size, _ROOMS * size * _ROOM_BYTES)
    return None if meeting is None else HostReducer(meeting, rank, size)


class HostReducer:
    """A `Reducer` in shared memory; tensors are on the processor."""

    transport: Transport = "shared_memory"

    def __init__(self, meeting: Meeting, rank: int, size: int) -> None:
        """Divides the memory.

        Args:
            meeting: Of all workers, with two rooms of memory for each, of a multiple of 8 bytes.
            rank: This worker.
            size: Workers in the world.
        """
        self._meeting = meeting
        self._rank = rank
        self._size = size
        self._rooms = torch.frombuffer(meeting.memory, dtype=torch.uint8).view(_ROOMS, size, -1)
        self._turn = 0
        self._due: list[Tensor] = []

    def start(self, tensor: Tensor) -> None:
        """Takes note of a tensor to add up in place, contiguous."""
        self._due.append(tensor)

    def wait(self) -> None:
        """Adds up. Raises `HorovodInternalError`."""
        due, self._due = self._due, []
        for tensor in due:
            for piece in self._pieces(tensor):
                self._add_up(piece)

    def scatter(self, tensor: Tensor) -> Tensor:
        """Gives each worker its part. Raises `HorovodInternalError`."""
        parts = tensor.view(self._size, -1)
        return torch.cat([each.view(self._size, -1)[self._rank] for each in self._all(parts)])

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns the tensors of all. Raises `HorovodInternalError`."""
        return torch.cat(self._all(tensor))

    def broadcast(self, content: bytes) -> bytes:
        """Sends the bytes of rank 0 to all. Raises `HorovodInternalError`."""
        length = int(self._share(torch.tensor([len(content)]))[0])
        room = torch.zeros(length, dtype=torch.uint8)
        if self._rank == 0 and length:
            room = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for piece in self._pieces(room):
            piece.copy_(self._share(piece)[0])
        return room.numpy().tobytes()

    def close(self) -> None:
        """Leaves the world: the others take this worker for gone."""
        self._meeting.close()

    def _add_up(self, piece: Tensor) -> None:
        shared = self._share(piece)
        mine = rank_slice(len(piece), self._rank, self._size)
        total = shared[self._rank, mine]
        for rank in range(self._size):
            if rank != self._rank:
                total += shared[rank, mine]
        self._meeting.meet()
        for rank in range(self._size):
            part = rank_slice(len(piece), rank, self._size)
            piece[part] = shared[rank, part]

    def _all(self, tensor: Tensor) -> list[Tensor]:
        """Returns the tensor of every worker, flat, by rank."""
        found = [torch.empty_like(tensor).view(-1) for _ in range(self._size)]
        pieces = [self._pieces(each) for each in found]
        for mine, *theirs in zip(self._pieces(tensor), *pieces, strict=True):
            for room, shared in zip(theirs, self._share(mine), strict=True):
                room.copy_(shared)
        return found

    def _share(self, piece: Tensor) -> Tensor:
        """Shows a piece to all others, and returns those of all, shape (workers, numbers).

        They stay until the call after the next one.
        """
        rooms = self._rooms[self._turn, :, : len(piece) * piece.element_size()].view(piece.dtype)
        self._turn = (self._turn + 1) % _ROOMS
        rooms[self._rank] = piece
        self._meeting.meet()
        return rooms

    def _pieces(self, tensor: Tensor) -> Iterator[Tensor]:
        """Yields a tensor in flat pieces that fit a room; they are views of it."""
        length = self._rooms.shape[-1] // tensor.element_size()
        flat = tensor.view(-1)
        for start in range(0, len(flat), length):
            yield flat[start : start + length]

"""Where the workers of one host meet: memory that all can write, and a barrier.

They find each other by a Unix socket of Linux's abstract name space, which lies in no file system
and ends with its processes, as does the memory. Workers whose hosts, containers or pods have
networks of their own cannot reach it.
"""

import mmap
import os
import secrets
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from horovod.common.exceptions import HorovodInternalError

from services.trainer.worker.reduction.reducer import Reducer

_PATIENCE_SECONDS = 30.0
_ARRIVED = b"\1"
_RANK = struct.Struct("<i")
_CREDENTIALS = struct.Struct("iII")  # process, user, group


class Meeting(ABC):
    """Shared memory, and a barrier by which all go through rank 0.

    The death of a worker closes its sockets: nobody waits for it.

    Attributes:
        memory: The same bytes for all workers.
    """

    def __init__(self, memory: mmap.mmap, others: Sequence[socket.socket]) -> None:
        """Takes what was agreed upon.

        Args:
            memory: Shared by all.
            others: At rank 0 the sockets to all others, elsewhere the one to rank 0.
        """
        self.memory = memory
        self._others = others

    @abstractmethod
    def meet(self) -> None:
        """Returns when all workers are here.

        Raises:
            HorovodInternalError: One of them is gone.
        """

    def close(self) -> None:
        """Leaves: for the others, this worker is gone."""
        for other in self._others:
            other.close()


class HostMeeting(Meeting):
    """Rank 0's side: waits for each, then lets all go on."""

    def meet(self) -> None:
        """See `Meeting.meet`."""
        with _peers_are_there():
            for other in self._others:
                _receive(other)
            for other in self._others:
                other.sendall(_ARRIVED)


class GuestMeeting(Meeting):
    """The others' side."""

    def meet(self) -> None:
        """See `Meeting.meet`."""
        (host,) = self._others
        with _peers_are_there():
            host.sendall(_ARRIVED)
            _receive(host)


def meet_on_one_host(reducer: Reducer, rank: int, size: int, length: int) -> Meeting | None:
    """Brings the workers of a world together, where they are on one host.

    Args:
        reducer: Joined to the world; all workers call this at the same time.
        rank: This worker.
        size: Workers in the world, at least two.
        length: Bytes of memory to share.

    Returns:
        The meeting; None on every worker if one of them is on another host.

    Raises:
        HorovodInternalError: Another worker is gone.
    """
    if rank == 0:
        return _invite(reducer, size, length)
    return _visit(reducer, rank, size, length)


def _invite(reducer: Reducer, size: int, length: int) -> Meeting | None:
    with socket.socket(socket.AF_UNIX) as door:
        name = f"\0aimass-{secrets.token_hex(16)}"
        door.bind(name)
        door.listen(size)
        door.settimeout(_PATIENCE_SECONDS)
        reducer.broadcast(name.encode())
        if not _all_came(reducer, size, came=True):
            return None
        descriptor = os.memfd_create("aimass-meeting")
        try:
            os.ftruncate(descriptor, length)
            memory = mmap.mmap(descriptor, length)
            with _peers_are_there():
                guests = _guests(door, size - 1)
                for guest in guests:
                    socket.send_fds(guest, [_ARRIVED], [descriptor])
        finally:
            os.close(descriptor)
    return HostMeeting(memory, guests)


def _visit(reducer: Reducer, rank: int, size: int, length: int) -> Meeting | None:
    name = reducer.broadcast(b"").decode()
    host = socket.socket(socket.AF_UNIX)
    host.settimeout(_PATIENCE_SECONDS)
    try:
        host.connect(name)
        came = _is_own(host)
        host.sendall(_RANK.pack(rank))
    except OSError:
        came = False
    if not _all_came(reducer, size, came=came):
        host.close()
        return None
    with _peers_are_there():
        greeting, descriptors, _, _ = socket.recv_fds(host, len(_ARRIVED), 1)
        _check(greeting)
    host.settimeout(None)
    try:
        memory = mmap.mmap(descriptors[0], length)
    finally:
        os.close(descriptors[0])
    return GuestMeeting(memory, [host])


def _guests(door: socket.socket, count: int) -> list[socket.socket]:
    """Lets the workers in; others who knock have no rank to tell."""
    guests: dict[int, socket.socket] = {}
    while len(guests) < count:
        guest, _ = door.accept()
        if not _is_own(guest):
            guest.close()
            continue
        (rank,) = _RANK.unpack(guest.recv(_RANK.size, socket.MSG_WAITALL).ljust(_RANK.size))
        guests[rank] = guest
    return [guests[rank] for rank in sorted(guests)]


def _is_own(peer: socket.socket) -> bool:
    """Returns whether a process of this user is at the other end."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(found)
    return bool(user == os.getuid())


def _all_came(reducer: Reducer, size: int, *, came: bool) -> bool:
    count = torch.tensor([float(came)])
    reducer.start(count)
    reducer.wait()
    return int(count) == size


@contextmanager
def _peers_are_there() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HorovodInternalError(f"A worker of this host is gone: {error}") from error


def _receive(other: socket.socket) -> None:
    _check(other.recv(len(_ARRIVED)))


def _check(received: bytes) -> None:
    if received != _ARRIVED:
        raise HorovodInternalError("A worker of this host is gone.")

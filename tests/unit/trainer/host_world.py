"""Worlds of workers that are threads of one process, for tests of what they do together."""

import mmap
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.trainer.worker.reduction.host import HostReducer
from services.trainer.worker.reduction.meeting import GuestMeeting, HostMeeting, Meeting

_WAIT_SECONDS = 20.0

Found = TypeVar("Found")


def world(size: int, room_bytes: int = 64) -> list[HostReducer]:
    """Returns the reducers of a world, by rank; sockets and memory are real.

    Args:
        size: Workers.
        room_bytes: What a worker shares at a time.
    """
    memory = mmap.mmap(-1, 2 * size * room_bytes)
    pairs = [socket.socketpair() for _ in range(size - 1)]
    meetings: list[Meeting] = [HostMeeting(memory, [host for host, _ in pairs])]
    meetings += [GuestMeeting(memory, [guest]) for _, guest in pairs]
    return [HostReducer(meeting, rank, size) for rank, meeting in enumerate(meetings)]


def on_all(size: int, work: Callable[[int], Found]) -> list[Found]:
    """Returns what every rank's work comes to, all of them at the same time."""
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, range(size), timeout=_WAIT_SECONDS))

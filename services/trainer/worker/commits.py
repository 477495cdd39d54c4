"""Where a host keeps a run's newest commit: how it is put there, opened, and what step it holds.

There are two files, the newest commit and the one before it, which is written over next: memory
that is new costs twice as much as the copy into it. Locks keep a file from being written over while
somebody reads it. Imports no torch.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from aimass.trainer.v1 import agents_pb2

FILE_NAME = "commit.safetensors"
SPARE_NAME = f"{FILE_NAME}.new"
_HEADER_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 100_000_000
_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_MOST_BUFFERS = 512
_WRITABLE, _MODE = os.O_RDWR | os.O_CREAT, 0o600


@contextlib.contextmanager
def newest_commit(directory: Path) -> Iterator[BinaryIO]:
    """Opens the newest commit of a directory. It stays as it is until the block ends.

    Raises:
        OSError: There is none, or it cannot be read.
    """
    path = directory / FILE_NAME
    while True:
        with path.open("rb") as file:
            # One that is written over, or is the newest no more, has left its name to another.
            if _locked(file.fileno(), fcntl.LOCK_SH) and _is_at(path, file.fileno()):
                yield file
                return


def write_commit(directory: Path, content: Iterable[memoryview]) -> None:
    """Makes this content the newest commit, in one moment.

    One process at a time may write the commits of a directory.

    Raises:
        OSError: There is no room, or no right to write there. The newest commit is as before.
    """
    path, spare = directory / FILE_NAME, directory / SPARE_NAME
    try:
        descriptor = _open_spare(spare)
        try:
            os.ftruncate(descriptor, _write(descriptor, content))
        finally:
            os.close(descriptor)
        _swap(path, spare)
    except OSError:
        with contextlib.suppress(OSError):
            spare.unlink()
        raise


def read_commit(directory: Path) -> agents_pb2.Commit | None:
    """Returns which step the newest commit of a directory holds.

    Reads only the header of the safetensors file: the entries `step` and `epoch` (decimal numbers)
    of its metadata.

    Args:
        directory: A run's commit directory.

    Returns:
        The commit, or None where there is none or the file cannot be read.
    """
    try:
        with newest_commit(directory) as file:
            (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
            if length > _MAX_HEADER_BYTES:
                return None
            metadata = json.loads(file.read(length))["__metadata__"]
        return agents_pb2.Commit(step=int(metadata["step"]), epoch=int(metadata["epoch"]))
    except (OSError, ValueError, KeyError, struct.error):
        return None


def _open_spare(spare: Path) -> int:
    """Opens the file to write to: the old one, or another where somebody still reads that."""
    descriptor = os.open(spare, _WRITABLE, _MODE)
    if _locked(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    spare.unlink()
    return os.open(spare, _WRITABLE, _MODE)


def _locked(descriptor: int, kind: int) -> bool:
    """Locks a file unless another lock forbids it; closing it ends the lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    return os.path.samestat(path.stat(), os.fstat(descriptor))


def _write(descriptor: int, content: Iterable[memoryview]) -> int:
    """Writes everything. Returns the number of bytes."""
    size, left = 0, [part for part in content if part.nbytes]
    while left:
        written = os.writev(descriptor, left[:_MOST_BUFFERS])
        size += written
        while left and written >= left[0].nbytes:
            written -= left.pop(0).nbytes
        if written:
            left[0] = left[0][written:]
    return size


def _swap(path: Path, spare: Path) -> None:
    """Exchanges the names of two files; `path` may be missing."""
    names = os.fsencode(spare), os.fsencode(path)
    if _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    if ctypes.get_errno() not in (errno.ENOENT, errno.EINVAL, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    # There is no commit yet, or the file system cannot exchange: that costs new memory, no more.
    spare.replace(path)

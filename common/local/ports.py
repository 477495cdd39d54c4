"""Ports on 127.0.0.1 that no other suite of this user takes at the same time."""

import fcntl
import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
STORE_PORT = 7702
LAST_PORT = 65535
_STEP = 10
_TRIES = 200


class PortReservations:
    """Ports that are held until `close`, also while the process that serves there restarts.

    A port is reserved by a lock file, so that two suites that start at the same moment never choose
    the same one. The ports lie below the range from which the kernel takes the near ends of
    connections, so none is lost while its process restarts.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = Path(tempfile.gettempdir()) / f"aimass-ports-{os.getuid()}"
        self._folder = folder or default
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = ExitStack()

    def reserve(self, preferred: int) -> int:
        """Reserves a port: the preferred one or the next in steps of ten that is free.

        Raises:
            OSError: None of 200 ports is free, or of those up to the last there is.
        """
        end = min(preferred + _STEP * _TRIES, LAST_PORT + 1)
        for port in range(preferred, end, _STEP):
            lock = self._lock(port)
            if lock is None:
                continue
            if _is_free(port):
                self._held.enter_context(lock)
                return port
            lock.close()
        raise OSError(f"no free port from {preferred} on in steps of {_STEP}")

    def close(self) -> None:
        """Gives all ports back."""
        self._held.close()

    def _lock(self, port: int) -> IO[str] | None:
        file = (self._folder / f"{port}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without this, a server that just stopped would make its own port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True

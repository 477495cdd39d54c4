"""Starts the process that hosts trials: forked where that is safe, anew where it is not."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn, Protocol

from common.host.single_threaded import SINGLE_THREADED
from services.tuner.domain.trials.host import serve

_MODULE = "services.tuner.domain.trials.host"
_FILES = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")


class HostProcess(Protocol):
    """A process that hosts trials."""

    @property
    def pid(self) -> int:
        """Its id."""

    def kill(self) -> None:
        """Kills it."""

    def wait(self, timeout: float | None = None) -> object:
        """Waits for its end.

        Raises:
            TimeoutExpired: It has not ended after so many seconds.
        """


class _ForkedHost:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        if not wait([self._pidfd], timeout):
            raise subprocess.TimeoutExpired("host", timeout or 0.0)
        os.waitpid(self.pid, 0)
        os.close(self._pidfd)


def start_host(line: Connection, registry: str) -> HostProcess:
    """Starts a host.

    A fork of this process has imported already what takes a new one seconds, and shares the memory
    of it. It is safe where no other thread of this process holds a lock, be it of a library in C.

    Args:
        line: The host's end.
        registry: Name of a module with `FAMILIES`, families by name.
    """
    if registry in sys.modules and len(list(_THREADS.iterdir())) == 1:
        return _fork(line, registry)
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(os.getpid()), registry],
        stdin=line.fileno(),
        stdout=subprocess.DEVNULL,
        env=os.environ | SINGLE_THREADED,
        start_new_session=True,
    )


def _fork(line: Connection, registry: str) -> HostProcess:
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _host(line, parent, registry)
    return _ForkedHost(pid)


def _host(line: Connection, parent: int, registry: str) -> NoReturn:
    """Does all that a forked host does."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _leave_open(line.fileno())
        serve(line, parent, registry)
        code = 0
    finally:
        os._exit(code)


def _leave_open(descriptor: int) -> None:
    """Closes all files of the parent, whose peers shall see them closed when it is gone."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for each in [int(entry.name) for entry in _FILES.iterdir()]:
        if each > 2 and each != descriptor:
            with suppress(OSError):
                os.close(each)

"""Job processes as the executor sees them: started by it, or found alive."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence

from common.runs.hosts import JOB_VARIABLE, ProcessIdentity, kill_job
from common.runs.lease import LeaseRecord

_log = logging.getLogger(__name__)

_LEAVE_SECONDS = 2.0
_MOST_RINGS = 4096


class JobProcess:
    """A process that works on a run, or stands by for one.

    Attributes:
        job: Id of the job, in its environment and its children's as `AIMASS_JOB`.
        started: `time.monotonic()` when it was given its run, or was found or started.
        looked: The same when somebody last looked at its lease.
    """

    def __init__(
        self,
        job: str,
        identity: ProcessIdentity,
        child: subprocess.Popen[bytes] | None = None,
        line: socket.socket | None = None,
    ) -> None:
        self.job = job
        self.started = time.monotonic()
        self.looked = self.started
        self._identity = identity
        self._child = child
        self._line = line
        self._pidfd: int | None = None

    @classmethod
    def start(cls, command: Sequence[str]) -> "JobProcess":
        """Starts a process that imports everything and then waits for its run.

        Args:
            command: Program and arguments; `--standby` is appended.
        """
        job = secrets.token_hex(8)
        ours, theirs = socket.socketpair()
        with theirs:
            child = subprocess.Popen(
                [*command, "--standby"],
                stdin=theirs.fileno(),
                env={**os.environ, JOB_VARIABLE: job},
                start_new_session=True,
            )
        ours.setblocking(False)
        return cls(job, ProcessIdentity.of(child.pid), child, ours)

    @classmethod
    def adopt(cls, record: LeaseRecord) -> "JobProcess":
        """Returns the process that holds a lease, which an earlier life of the service started."""
        return cls(record.owner, record.process)

    def assign(self, run: str) -> None:
        """Gives a process that stands by its run.

        Raises:
            OSError: It has died.
        """
        assert self._line is not None
        self.started = time.monotonic()
        self._line.sendall(f"{run}\n".encode())

    def is_alive(self) -> bool:
        """Whether the process lives; collects it when it ended."""
        if self._child is not None:
            return self._child.poll() is None
        return self._identity.is_alive_here()

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while that is unknown."""
        return None if self._child is None else self._child.returncode

    def call_at_end(self, callback: Callable[[], None]) -> None:
        """Has the running event loop call `callback` once the process has ended.

        Where the kernel offers no process descriptors this does nothing: look every second.
        """
        with contextlib.suppress(OSError):
            self._pidfd = os.pidfd_open(self._identity.pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._ended, callback)

    def call_on_news(self, callback: Callable[[], None]) -> None:
        """Has the running event loop call `callback` whenever the process has stored something.

        One that was adopted tells nothing: look every second.
        """
        if self._line is not None:
            asyncio.get_running_loop().add_reader(self._line, self._hear, callback)

    def _hear(self, callback: Callable[[], None]) -> None:
        assert self._line is not None
        try:
            rings = self._line.recv(_MOST_RINGS)
        except OSError:
            rings = b""
        if not rings:
            self._hang_up()
        callback()

    def _hang_up(self) -> None:
        if self._line is not None:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
            self._line = None

    def _ended(self, callback: Callable[[], None]) -> None:
        self.forget()
        callback()

    def forget(self) -> None:
        """Stops waiting for its news and its end. It lives on."""
        self._hang_up()
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def kill(self) -> bool:
        """Kills the job's whole process tree. Returns whether nothing is left of it."""
        is_gone = kill_job(self.job, self._identity.pid)
        self.is_alive()
        return is_gone

    def dismiss(self) -> None:
        """Ends a process that stands by."""
        assert self._child is not None and self._line is not None
        self._line.close()
        try:
            self._child.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("standby process %d does not leave", self._child.pid)
            self.kill()


class Standby:
    """Keeps processes started ahead, so that runs begin without waiting for imports.

    Args:
        command: Program and arguments of the job process.
        count: So many: a run that follows at once on another has its own.
        pause: Seconds after a run began before the next process is started where none is left:
            its imports take a second of the processor from the run.
        leisure: The same where another is left.
    """

    def __init__(
        self, command: Sequence[str], count: int, pause: float = 3.0, leisure: float = 30.0
    ) -> None:
        self._command = tuple(command)
        self._count = count
        self._pause = pause
        self._leisure = leisure
        self._waiting: deque[JobProcess] = deque()
        self._not_before = 0.0

    def take(self, run: str) -> JobProcess:
        """Returns a process that has been told its run.

        Raises:
            OSError: None can be started.
        """
        try:
            return self._assigned(run)
        finally:
            pause = self._leisure if self._waiting else self._pause
            self._not_before = time.monotonic() + pause

    def _assigned(self, run: str) -> JobProcess:
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.is_alive():
                with contextlib.suppress(OSError):
                    waiting.assign(run)
                    return waiting
        fresh = JobProcess.start(self._command)
        fresh.assign(run)
        return fresh

    def refill(self) -> None:
        """Starts a process ahead where one is missing and it is time; one at a time."""
        self._waiting = deque(process for process in self._waiting if process.is_alive())
        if len(self._waiting) < self._count and time.monotonic() >= self._not_before:
            # One that dies at once must not be started in a loop.
            self._not_before = time.monotonic() + self._pause
            self._waiting.append(JobProcess.start(self._command))

    def dismiss(self) -> None:
        """Ends the processes that stand by."""
        while self._waiting:
            self._waiting.pop().dismiss()

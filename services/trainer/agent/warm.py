"""The agent's side of its warm process: starts it, watches it, starts another when it dies."""

import asyncio
import logging
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Protocol

from services.trainer.agent import messages
from services.trainer.agent.settings import AgentSettings
from services.trainer.worker.process import Descriptors, WorkerOrder

_log = logging.getLogger(__name__)
_RESTART_SECONDS = 0.1
_MAX_RESTART_SECONDS = 30.0
_GONE_SECONDS = 5.0
_STOPPED_LIMIT_SECONDS = 1.0
_MODULE = "services.trainer.agent.warm_process"


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal (SIGSTOP)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read 50 times a second
            # The state follows the command, which is in brackets and may hold anything.
            return file.read().rpartition(b") ")[2][:1] == b"T"
    except OSError:
        return False


class WorkerListener(Protocol):
    """Who wants to hear of forked workers."""

    def forked(self, message: messages.Forked) -> None:
        """A worker runs."""

    def exited(self, message: messages.Exited) -> None:
        """A worker ended."""

    def all_gone(self) -> None:
        """The warm process died, and with it all workers."""


class WarmProcess:
    """Keeps a warm process running."""

    def __init__(
        self, settings: AgentSettings, listener: WorkerListener, on_change: Callable[[], None]
    ) -> None:
        """Prepares; `run` starts it.

        Args:
            settings: The agent's settings.
            listener: Hears of workers.
            on_change: Called when `is_ready` changes.
        """
        self._settings = settings
        self._listener = listener
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._workers: dict[tuple[int, int], int] = {}
        self._stopped_since: float | None = None
        self.is_ready = False

    @property
    def pid(self) -> int:
        """Process id of the warm process; 0 while there is none."""
        return self._process.pid if self._process else 0

    async def run(self) -> None:
        """Starts the process, and another whenever it dies, until cancelled."""
        delay = _RESTART_SECONDS
        while True:
            ended = self._start()
            try:
                await ended.wait()
            finally:
                was_ready = self.is_ready
                await self._clean_up()
            # One that dies before it is ready will do so again: do not burn the processor.
            delay = _RESTART_SECONDS if was_ready else min(2 * delay, _MAX_RESTART_SECONDS)
            _log.warning("the warm process ended; another is started in %.0f s", delay)
            await asyncio.sleep(delay)

    def fork(self, order: WorkerOrder, descriptors: Descriptors) -> None:
        """Orders a worker. Raises `OSError` where the warm process is gone."""
        if self._link is None or not self.is_ready:
            raise ConnectionError("the warm process is not ready")
        messages.send(self._link, order, descriptors)

    def kill(self, world: int) -> None:
        """Kills the workers of a world and of those before it."""
        try:
            if self._link is not None:
                messages.send(self._link, messages.KillWorlds(world))
        except OSError:
            self.kill_all()

    def kill_all(self) -> None:
        """Kills the warm process itself, and thereby every worker, frozen or not."""
        if self._process is not None:
            self._process.kill()

    def look(self) -> None:
        """Kills the warm process when it has been stopped for too long; call it often."""
        if not self.pid or not is_stopped(self.pid):
            self._stopped_since = None
            return
        now = time.monotonic()
        self._stopped_since = self._stopped_since or now
        if now - self._stopped_since > _STOPPED_LIMIT_SECONDS:
            _log.warning("the warm process is stopped; it is killed")
            self.kill_all()

    def _start(self) -> asyncio.Event:
        """Starts the process; the event is set when it has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    _MODULE,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    self._settings.agent_worker_module,
                ],
                pass_fds=[theirs.fileno()],
                env=self._settings.warm_environment(),
                stdin=subprocess.DEVNULL,
            )
        self._link = ours
        ended = asyncio.Event()
        watched = os.pidfd_open(self._process.pid)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, self._receive)

        def note_end() -> None:
            loop.remove_reader(watched)
            os.close(watched)
            ended.set()

        loop.add_reader(watched, note_end)
        return ended

    def _receive(self) -> None:
        while self._link is not None:
            try:
                received = messages.receive(self._link)
            except OSError:  # nothing more for now, or the process is gone and `run` will see it
                return
            if received is None:
                asyncio.get_running_loop().remove_reader(self._link)
                return
            self._dispatch(received[0])

    def _dispatch(self, message: messages.Message) -> None:
        if isinstance(message, messages.Ready):
            _log.info("the warm process was ready after %.1f s", message.seconds)
            self._set_ready(True)
        elif isinstance(message, messages.Forked):
            self._workers[message.world, message.rank] = message.pid
            self._listener.forked(message)
        elif isinstance(message, messages.Exited):
            self._workers.pop((message.world, message.rank), None)
            self._listener.exited(message)

    def _set_ready(self, ready: bool) -> None:
        if ready != self.is_ready:
            self.is_ready = ready
            self._on_change()

    async def _clean_up(self) -> None:
        process, link = self._process, self._link
        if process is None or link is None:
            return
        self._receive()  # what it said before it died
        asyncio.get_running_loop().remove_reader(link)
        process.kill()
        process.wait()
        link.close()
        self._process = self._link = None
        self._set_ready(False)
        workers, self._workers = list(self._workers.values()), {}
        for pid in workers:
            await asyncio.to_thread(_wait_until_gone, pid)
        self._listener.all_gone()


def _wait_until_gone(pid: int) -> None:
    """Waits for an orphaned worker, which the kernel is killing, to end."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([watched], [], [], _GONE_SECONDS)
        # Only where this process is the init of a container do orphans become its children.
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    finally:
        os.close(watched)

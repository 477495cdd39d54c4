"""The host's process and the line to it."""

import logging
import math
import subprocess
import time
from multiprocessing import Pipe
from pathlib import Path

from services.tuner.domain.trials.messages import Load, Ready
from services.tuner.domain.trials.starting import start_host

_log = logging.getLogger(__name__)

_START_SECONDS = 120.0
_LEAVE_SECONDS = 1.0


class HostLink:
    """A process that hosts trials, from its start to its end.

    Attributes:
        is_ready: Whether it has imported and read everything.
    """

    def __init__(self, registry: str) -> None:
        """Starts it; it imports and then waits for `load`.

        Args:
            registry: Name of a module with `FAMILIES`, families by name.
        """
        self._line, theirs = Pipe()
        with theirs:
            self._process = start_host(theirs, registry)
        self._ready_by = time.monotonic() + _START_SECONDS
        self.is_ready = False

    @property
    def pid(self) -> int:
        """Id of its process."""
        return self._process.pid

    @property
    def silent_at(self) -> float:
        """By when it has to be ready; infinite once it is."""
        return math.inf if self.is_ready else self._ready_by

    def load(self, folder: Path) -> None:
        """Has it read what trials need."""
        self._ready_by = time.monotonic() + _START_SECONDS
        self.tell(Load(folder))

    def tell(self, message: object) -> bool:
        """Sends a message. Returns whether it went: if not, it is dead, and `hear` will say so."""
        try:
            self._line.send(message)
        except OSError:
            return False
        return True

    def hear(self, timeout: float) -> object | None:
        """Returns its next message; None where none comes in so many seconds.

        Raises:
            EOFError: It is dead.
        """
        try:
            if not self._line.poll(timeout):
                return None
            message: object = self._line.recv()
        except OSError as error:
            raise EOFError from error
        self.is_ready = self.is_ready or isinstance(message, Ready)
        return message

    def end(self, is_hanging: bool = False) -> None:
        """Ends it and its trials.

        Args:
            is_hanging: Whether not to wait until it ends by itself.
        """
        self._line.close()
        if is_hanging or not self.is_ready:
            self._process.kill()
        try:
            self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("the host of the trials does not leave")
            self._process.kill()
            self._process.wait()

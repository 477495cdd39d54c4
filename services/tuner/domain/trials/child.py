"""The process of one trial: forked from the host, bounded by it."""

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from services.tuner.domain.trials.attempt import Desk, attempt, failed
from services.tuner.domain.trials.memory import held_bytes, peak_held_bytes, refuse_beyond
from services.tuner.domain.trials.messages import Order
from services.tuner.domain.trials.trial import TrialFailure, TrialResult

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_PATIENCE_SHARE, _PATIENCE_SECONDS = 1.15, 0.3


def allowed_seconds(seconds: float) -> float:
    """Returns after how many seconds a trial that was given some is ended from outside."""
    return seconds * _PATIENCE_SHARE + _PATIENCE_SECONDS


def die_with_parent(parent: int) -> None:
    """Makes the kernel kill this process when the thread that started it is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class TrialChild:
    """A trial that runs, as the host sees it.

    Attributes:
        order: What it does.
        pidfd: Becomes readable when it ends; -1 where the kernel has none.
        imported: Modules that it needed and the host has not, once it has ended.
    """

    def __init__(self, order: Order, desk: Desk, hang_up: Callable[[], None]) -> None:
        """Forks it.

        Args:
            order: What it is to do.
            desk: What it works with.
            hang_up: Closes in the child what only the host may keep open.
        """
        self.order = order
        self._desk = desk
        self._started = time.monotonic()
        self._start_bytes = held_bytes()
        self._peak_bytes = 0
        self._sentence: tuple[TrialFailure, str] | None = None
        self.imported: tuple[str, ...] = ()
        host = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            _work(order, desk, self._start_bytes, host, hang_up)
        self.pidfd = -1
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(self._pid)

    def check(self) -> None:
        """Ends it where it is beyond a bound."""
        self._peak_bytes = max(self._peak_bytes, held_bytes(self._pid) - self._start_bytes)
        seconds = self.order.task.seconds
        if self._peak_bytes > self._desk.setup.memory_bytes:
            limit = self._desk.setup.memory_bytes >> 20
            self._end(TrialFailure.OUT_OF_MEMORY, f"It took more than {limit} MiB of memory.")
        elif time.monotonic() - self._started > allowed_seconds(seconds):
            words = f"It had {max(seconds, 0.0):.1f} s and took far longer."
            self._end(TrialFailure.OUT_OF_TIME, words)

    def _end(self, failure: TrialFailure, message: str) -> None:
        self._sentence = self._sentence or (failure, message)
        self.kill()

    def kill(self) -> None:
        """Kills it and what it started."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(self._pid, signal.SIGKILL)

    def collect(self, wait: bool = False) -> TrialResult | None:
        """Returns its result without outputs, once it has ended; None before.

        Args:
            wait: Whether to wait for its end.
        """
        pid, status, usage = os.wait4(self._pid, 0 if wait else os.WNOHANG)
        if not pid:
            return None
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGKILL)
        if self.pidfd >= 0:
            os.close(self.pidfd)
        result = self._result(os.waitstatus_to_exitcode(status))
        if result.failure is not None:
            self._desk.files.clear(self.order.number)
        return replace(
            result,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=max(result.peak_bytes, self._peak_bytes),
        )

    def _result(self, code: int) -> TrialResult:
        seconds = time.monotonic() - self._started
        if code == 0:
            with contextlib.suppress(OSError):  # whoever leaves early has told nothing
                return self._told()
        if self._sentence is not None:
            return failed(self.order.task, *self._sentence, seconds)
        message = f"Its process ended with code {code}."
        if code < 0:
            message = f"Its process died of {_signal_name(-code)}."
        return failed(self.order.task, TrialFailure.CRASHED, message, seconds)

    def _told(self) -> TrialResult:
        path = self._desk.files.result(self.order.number)
        with path.open("rb") as file:
            result: TrialResult
            result, self.imported = pickle.load(file)
        path.unlink()
        return result


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _work(
    order: Order, desk: Desk, start_bytes: int, host: int, hang_up: Callable[[], None]
) -> NoReturn:
    """Does all that a trial's process does."""
    code, deadline = 1, time.monotonic() + order.task.seconds
    try:
        die_with_parent(host)
        hang_up()
        _settle(desk.setup.memory_bytes)
        known = set(sys.modules)
        result = attempt(desk, order, lambda: deadline - time.monotonic())
        result = replace(result, peak_bytes=max(peak_held_bytes() - start_bytes, 0))
        imported = tuple(name for name in sys.modules if name not in known)
        with desk.files.result(order.number).open("wb") as file:
            pickle.dump((result, imported), file, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _settle(memory_bytes: int) -> None:
    os.setpgid(0, 0)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    # Where the machine itself runs out of memory, a trial goes first, not the run.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    refuse_beyond(memory_bytes)

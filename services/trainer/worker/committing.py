"""Writes commits to the host's memory, as often as a small share of the time allows."""

import contextlib
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from services.trainer.worker.commits import FILE_NAME
from services.trainer.worker.state import Snapshot

_log = logging.getLogger(__name__)

COST_SHARE = 0.02
"""Share of the training time that commits may take."""
BACKGROUND_BYTES = 64 * 1024**2
"""Larger commits are copied first and written by a thread."""
_FIRST_INTERVAL = 5
_MAX_INTERVAL = 100_000


class Committer:
    """Writes the commits of one host; only the worker with local rank 0 has one.

    Memory that is full costs commits, not training: until there is room again the last one stays.
    """

    def __init__(
        self, directory: Path, every: int | None, committed: Callable[[int, int], None]
    ) -> None:
        """Prepares.

        Args:
            directory: Where the commit file lies.
            every: Steps between commits; None to choose by their cost.
            committed: Called with step and epoch when a commit is in its place.
        """
        self._path = directory / FILE_NAME
        self._temporary = directory / f"{FILE_NAME}.new"
        self._every = every
        self._committed = committed
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._writing: Future[None] | None = None
        self._interval = every or _FIRST_INTERVAL
        self._last: tuple[int, float] | None = None
        self._is_failing = False

    def is_due(self, step: int) -> bool:
        """Returns whether a commit is due after this step."""
        if self._last is None:
            self._last = step, time.perf_counter()
        return step - self._last[0] >= self._interval

    def commit(self, snapshot: Snapshot, *, wait: bool = False) -> bool:
        """Writes a commit.

        Args:
            snapshot: What to write; may change once this returns.
            wait: Whether to return only when it is in its place, large or not.

        Returns:
            Whether commits work, as far as is known; with `wait` whether this one is in place.
        """
        start = time.perf_counter()
        is_large = snapshot.size_bytes > BACKGROUND_BYTES
        if self._writing is not None and (wait or self._writing.done()):
            self._finish()
        if is_large and not wait:
            if self._writing is not None:
                return not self._is_failing
            self._writing = self._writer.submit(self._write, snapshot.copy())
        else:
            self._write(snapshot)
        self._choose_interval(snapshot.step, start)
        return not self._is_failing

    def _finish(self) -> None:
        assert self._writing is not None
        self._writing.result()
        self._writing = None

    def _write(self, snapshot: Snapshot) -> None:
        try:
            snapshot.save(self._temporary)
            self._temporary.replace(self._path)
        except OSError as error:
            self._note_failure(snapshot.step, error)
            return
        self._is_failing = False
        self._committed(snapshot.step, snapshot.epoch)

    def _note_failure(self, step: int, error: OSError) -> None:
        with contextlib.suppress(OSError):
            self._temporary.unlink()
        if not self._is_failing:
            _log.warning(
                "step %d is not committed, nor are others until that works: %s", step, error
            )
        self._is_failing = True

    def _choose_interval(self, step: int, start: float) -> None:
        """Sets the interval so that what this commit cost is the allowed share of the time."""
        now = time.perf_counter()
        if self._every is None and self._last is not None and step > self._last[0]:
            step_seconds = (start - self._last[1]) / (step - self._last[0])
            interval = math.ceil((now - start) / (COST_SHARE * max(step_seconds, 1e-6)))
            self._interval = min(max(interval, 1), _MAX_INTERVAL)
        self._last = step, now

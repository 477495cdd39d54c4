"""Writes commits to the host's memory, as often as a small share of the time allows."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from services.trainer.worker.commits import write_commit
from services.trainer.worker.state import Snapshot

_log = logging.getLogger(__name__)

COST_SHARE = 0.01
"""Share of the training time that commits may take."""
_FIRST_INTERVAL = 5
_MAX_INTERVAL = 100_000
_REMEMBERED = 3


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
        self._directory = directory
        self._every = every
        self._committed = committed
        self._interval = every or _FIRST_INTERVAL
        self._last: tuple[int, float] | None = None
        # The least of a few: the first ones take new memory, and any may be interrupted.
        self._costs: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_failing = False

    def is_due(self, step: int) -> bool:
        """Returns whether a commit is due after this step."""
        if self._last is None:
            self._last = step, time.perf_counter()
        return step - self._last[0] >= self._interval

    def commit(self, snapshot: Snapshot) -> bool:
        """Writes a commit. Returns whether it is in its place."""
        start = time.perf_counter()
        try:
            write_commit(self._directory, snapshot.encoded())
        except OSError as error:
            self._note_failure(snapshot.step, error)
        else:
            self._is_failing = False
        self._choose_interval(snapshot.step, start)
        if not self._is_failing:
            # Last, since it may wait for the end of the world.
            self._committed(snapshot.step, snapshot.epoch)
        return not self._is_failing

    def _note_failure(self, step: int, error: OSError) -> None:
        if not self._is_failing:
            _log.warning(
                "step %d is not committed, nor are others until that works: %s", step, error
            )
        self._is_failing = True

    def _choose_interval(self, step: int, start: float) -> None:
        """Sets the interval so that what commits cost is the allowed share of the time."""
        now = time.perf_counter()
        self._costs.append(now - start)
        if self._every is None and self._last is not None and step > self._last[0]:
            step_seconds = (start - self._last[1]) / (step - self._last[0])
            interval = math.ceil(min(self._costs) / (COST_SHARE * max(step_seconds, 1e-6)))
            self._interval = min(max(interval, 1), _MAX_INTERVAL)
        self._last = step, now

"""When a run whose process ended too early may be started again."""

import time


class Restarts:
    """Counts and waits of runs whose process ended too early.

    Args:
        longest_delay: Longest wait in seconds.
        limit: A process that could not be started so often in a row is hopeless.
    """

    def __init__(self, longest_delay: float, limit: int) -> None:
        self._limit = limit
        self._longest = longest_delay
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def note_failure(self, name: str) -> None:
        """The process ended before it took the run."""
        self._failures[name] = self._failures.get(name, 0) + 1
        self._delay(name, self._failures[name])

    def note_faults(self, name: str, faults: int) -> None:
        """The process ended having worked on the run, the last of so many without progress."""
        self._failures.pop(name, None)
        self._delay(name, faults)

    def note_later(self, name: str) -> None:
        """The process says that now is not the time."""
        self._not_before[name] = time.monotonic() + 1.0

    def _delay(self, name: str, count: int) -> None:
        # The first restart is at once.
        delay = min(0.2 * 2 ** (count - 2), self._longest) if count > 1 else 0.0
        self._not_before[name] = time.monotonic() + delay

    def is_hopeless(self, name: str) -> bool:
        """Whether the process could not be started too often."""
        return self._failures.get(name, 0) >= self._limit

    def is_time(self, name: str) -> bool:
        """Whether the run may be started now."""
        return time.monotonic() >= self._not_before.get(name, 0.0)

    def keep(self, active: set[str]) -> None:
        """Forgets runs that have ended."""
        for counted in (self._failures, self._not_before):
            for name in counted.keys() - active:
                del counted[name]

"""How long a step usually takes, and how long a silence is normal."""

from collections import deque
from statistics import median

FACTOR = 10.0
"""A world is frozen when nothing happened for so many times the usual step."""
FLOOR_SECONDS = 2.0
CEILING_SECONDS = 60.0
"""Also the limit before the first step, where reading data and building the network give signs."""
_SAMPLES = 32
_LARGEST_BACKOFF = 16.0


class Pace:
    """Learns the usual time of a step, over worlds."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._last: float | None = None
        self._backoff = 1.0

    def begin_world(self) -> None:
        """Notes that a new world starts: the time until its first step says nothing."""
        self._last = None

    def note_steps(self, count: int, now: float) -> None:
        """Notes that the world came so many steps further."""
        if self._last is not None and count > 0:
            self._samples.append((now - self._last) / count)
            if len(self._samples) == _SAMPLES:
                self._backoff = 1.0
        self._last = now

    def note_alarm(self) -> None:
        """Notes that a silence ended a world: the next one has to be twice as long.

        A host that is only slow must not be replaced for ever.
        """
        self._backoff = min(2 * self._backoff, _LARGEST_BACKOFF)
        self._samples.clear()

    @property
    def step_seconds(self) -> float | None:
        """Usual time of a step; None before the second step."""
        return median(self._samples) if self._samples else None

    def silence_limit(self, is_stepping: bool) -> float:
        """Returns how many seconds without a sign of life are normal.

        Args:
            is_stepping: Whether the world has finished a step.
        """
        usual = self.step_seconds
        if usual is None or not is_stepping:
            return CEILING_SECONDS
        limit = max(FACTOR * usual, FLOOR_SECONDS) * self._backoff
        return min(limit, CEILING_SECONDS)

"""How long work may take."""

import time
from collections.abc import Callable


class Budget:
    """Seconds to spend. A part asks it what it can afford; what is running is not interrupted."""

    def __init__(self, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Starts to count.

        Args:
            seconds: How long the work may take.
            check: Called now and then; raises to stop the work.
        """
        self._end = time.monotonic() + seconds
        self._check = check

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_spent(self) -> bool:
        """Whether none is left."""
        return self.left == 0.0

    def check(self) -> None:
        """To be called in every loop that takes seconds. Raises where the work was cancelled."""
        self._check()

    def share(self, part: float) -> "Budget":
        """Returns a budget of this part, 0 to 1, of what is left."""
        return Budget(part * self.left, self._check)

    def affords(self, wanted: int, seconds_each: float, least: int = 1) -> int:
        """Returns how many of the wanted items fit into what is left.

        Args:
            wanted: How many there could be.
            seconds_each: What one takes.
            least: So many are worked on in any case, if there are as many.
        """
        if seconds_each <= 0:
            return wanted
        return max(min(wanted, least), min(wanted, int(self.left / seconds_each)))

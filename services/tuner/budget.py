"""How the time of a search is given out: loading, searching, and what comes after."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from aimass.type.v1 import run_pb2

_END_SHARE, _SMALL_END_SHARE, _SLOW_END_SHARE = 0.05, 0.2, 0.35
_USUAL_END, _LONGEST_END = 2.0, 20.0
_COLUMN_SECONDS = 0.002
_LEAST_AGAIN = 10.0


@dataclass(frozen=True)
class Budget:
    """The time of a run, over all its attempts.

    Attributes:
        seconds: All of it.
        begun: When the first attempt began, in seconds since 1970.
        is_first: Whether this is the first attempt.
        clock: Seconds since 1970.
        has_model: Whether earlier attempts have left what a model can be made of.
    """

    seconds: float
    begun: float
    is_first: bool = True
    clock: Callable[[], float] = time.time
    has_model: bool = False

    @classmethod
    def of(cls, seconds: float, status: run_pb2.RunStatus) -> "Budget":
        """Returns the budget of a run under way."""
        return cls(seconds, status.start_time.ToNanoseconds() / 1e9, status.attempt <= 1)

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return max(self.clock() - self.begun, 0.0)

    @property
    def left(self) -> float:
        """Seconds until the run should end; 0 later."""
        return max(self.seconds - self.spent, 0.0)

    @property
    def share(self) -> float:
        """Share of the time that is spent, at most 1."""
        return min(self.spent / self.seconds, 1.0)

    def for_search(self, columns: int = 0) -> float:
        """Returns the seconds that the search may take now; the rest is for testing and publishing.

        What was needed until now, mostly loading, tells how slow a busy machine is: publishing is
        left as long. One that was taken over when its time had run out gets some all the same, so
        that it ends with a model, if nothing is left of the attempts before.

        Args:
            columns: Of the data; signatures and test vectors of thousands take seconds.
        """
        small = min(_USUAL_END, _SMALL_END_SHARE * self.seconds)
        wide = min(_COLUMN_SECONDS * columns, _SLOW_END_SHARE * self.seconds)
        slow = min(self.spent, _SLOW_END_SHARE * self.seconds) if self.is_first else 0.0
        end = min(max(small, slow, wide, _END_SHARE * self.seconds), _LONGEST_END)
        is_ready = self.is_first or self.has_model
        least = 0.0 if is_ready else min(self.seconds, _LEAST_AGAIN)
        return max(self.left - end, least)

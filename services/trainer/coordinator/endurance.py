"""When a run whose workers end again and again has to end itself. No clocks, no calls."""

from services.trainer.coordinator.world import Cause, Verdict, World

# Worlds in a row that end before their first step, and that end where those before them did: each
# may be bad luck once. Workers that die at every step get through the first of the two.
_MAX_STEPLESS = 5
_MAX_STANDSTILL = 20
_PAUSE_SECONDS = 0.1


class Endurance:
    """Counts worlds that led nowhere."""

    def __init__(self) -> None:
        """Starts with none."""
        self._stepless = 0
        self._standstill = 0
        self._furthest = 0

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next world.

        What makes workers fail at once, a store that is away for one, needs time to pass.
        """
        return _PAUSE_SECONDS * 2**self._stepless if self._stepless > 1 else 0.0

    def note(self, world: World, verdict: Verdict) -> int:
        """Takes how a world ended.

        Returns:
            How many worlds in a row led nowhere, where that is too many; else 0.
        """
        is_finished = verdict.cause is Cause.FINISHED
        self._stepless += verdict.is_fault
        if world.made_progress or is_finished:
            self._stepless = 0
        self._standstill += verdict.is_fault
        # One step further is no progress: workers that die at every step may have committed it.
        if world.newest_step > self._furthest + 1 or is_finished:
            self._standstill = 0
        self._furthest = max(self._furthest, world.newest_step)
        is_over = self._stepless >= _MAX_STEPLESS or self._standstill >= _MAX_STANDSTILL
        return max(self._stepless, self._standstill) if is_over else 0

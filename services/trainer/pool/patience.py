"""Since when runs have had, or lacked, their minimum of slots. No clock of its own."""

from collections.abc import Iterable

RESERVE_SECONDS = 60.0
"""A run that has waited so long is overdue: from then on none behind it begins."""
SPARE_SECONDS = 10.0
"""A run that falls below its minimum keeps so long what it has: a lost agent is often soon back."""


class Patience:
    """What `allocate` must know of the past."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._lacking: dict[str, float] = {}
        self._had: dict[str, float] = {}

    def note(self, run: str, has_minimum: bool, now: float) -> None:
        """Takes how a run stands."""
        if has_minimum:
            self._had[run] = now
            self._lacking.pop(run, None)
        else:
            self._lacking.setdefault(run, now)

    def overdue(self, now: float) -> set[str]:
        """Returns the runs that have waited for long."""
        return {run for run, since in self._lacking.items() if now - since >= RESERVE_SECONDS}

    def spared(self, now: float) -> set[str]:
        """Returns the runs that had their minimum a moment ago."""
        return {run for run, at in self._had.items() if now - at <= SPARE_SECONDS}

    def stop(self, run: str) -> None:
        """Notes that a run has to give its slots to others: it is not spared."""
        self._had.pop(run, None)

    def keep(self, runs: Iterable[str]) -> None:
        """Forgets all other runs."""
        kept = set(runs)
        for times in (self._lacking, self._had):
            for run in times.keys() - kept:
                del times[run]

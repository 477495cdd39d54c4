"""Trials one after another, as many at once as may, until nothing is left to do in time."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.trials.hosting import TrialHost
from services.tuner.domain.trials.trial import TrialResult, TrialTask

_LEAST_LOOK, _LOOK_SECONDS = 0.05, 0.25

Watch = Callable[[Library, TrialResult], None]


def silent(library: Library, result: TrialResult) -> None:
    """Tells nobody."""


def never() -> bool:
    """Goes on until the budget ends."""
    return False


@dataclass
class TrialLoop(ABC):
    """A search under way; whoever inherits says which candidate is next, and how long it may take.

    Attributes:
        host: Runs trials.
        library: What is known.
        watch: Told of every trial that ends; may raise to stop.
        is_stopped: Whether to stop where it is, with what is known by then.
    """

    waits_for_last: ClassVar[bool]
    """Whether trials that run when the time is over are waited for."""

    host: TrialHost
    library: Library
    watch: Watch
    is_stopped: Callable[[], bool]
    _running: set[int] = field(default_factory=set, init=False)

    def run(self, concurrency: int) -> None:
        """Searches until the time is over or nothing is left that could be done in it.

        Args:
            concurrency: How many trials run at once.
        """
        while not self.is_stopped():
            while len(self._running) < concurrency:
                entry = self._next()
                if entry is None:
                    break
                self._start(entry)
            result = self._wait() if self._running else None
            if result is None:
                return
            self._finish(result)

    @property
    @abstractmethod
    def _left(self) -> float:
        """Seconds until no trial may run any more; below 0 later."""

    @abstractmethod
    def _limit(self, entry: Entry) -> float:
        """Returns the most seconds of a candidate's trial that starts now."""

    @abstractmethod
    def _next(self) -> Entry | None:
        """Returns the candidate to go on with, none that runs; None if there is no time for any."""

    def _wait(self) -> TrialResult | None:
        """Returns what the next trial gave; None where nobody waits for it."""
        while not self.is_stopped():
            left = self._left
            result = self.host.wait(min(max(left, _LEAST_LOOK), _LOOK_SECONDS))
            if result is not None or (left <= 0 and not self.waits_for_last):
                return result
        return None

    def _start(self, entry: Entry) -> None:
        self._running.add(entry.candidate.number)
        share = self.library.share
        self.host.start(TrialTask(entry.candidate, entry.folds, share, self._limit(entry)))

    def _finish(self, result: TrialResult) -> None:
        self._running.discard(result.task.candidate.number)
        self.library.add(result)
        self.watch(self.library, result)

"""What happened in a search, and when."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.tuner.domain.search.library import Library
from services.tuner.domain.trials.trial import TrialFailure, TrialResult


@dataclass(frozen=True)
class Step:
    """A trial that ended.

    Attributes:
        seconds: When, since the start.
        candidate: Number of the candidate.
        fold: The fold, from 0.
        loss: On that fold; infinite where it failed.
        spent: Seconds that the trial took.
        failure: Why it has no score; None if it has.
        message: What went wrong, one line.
    """

    seconds: float
    candidate: int
    fold: int
    loss: float
    spent: float
    failure: TrialFailure | None = None
    message: str = ""


@dataclass
class History:
    """Remembers the trials of a search; `watch` is what `tune` tells of them.

    Attributes:
        clock: Seconds that only grow.
        steps: In the order in which they ended.
        seconds: When the search was over, since the start; 0 before `end`.
    """

    clock: Callable[[], float] = time.monotonic
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Starts now."""
        self._start = self.clock()

    def watch(self, library: Library, result: TrialResult) -> None:
        """Remembers a trial; see `Watch`."""
        self.steps.append(
            Step(
                seconds=self.clock() - self._start,
                candidate=result.task.candidate.number,
                fold=result.task.fold,
                loss=result.loss,
                spent=result.fit_seconds + result.predict_seconds,
                failure=result.failure,
                message=result.message,
            )
        )

    def end(self) -> None:
        """Remembers that all is done, the blend too."""
        self.seconds = self.clock() - self._start

"""What happened in a search, and when."""

import time
from collections.abc import Callable, Sequence
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

    @property
    def first_model(self) -> float:
        """When the first model was there: at the end, where no trial has a score."""
        scored = (each.seconds for each in self.steps if each.failure is None)
        return next(scored, self.seconds)

    def go_on(self, steps: Sequence[Step], seconds: float) -> None:
        """Goes on after trials that are known, as many seconds after the start."""
        self.steps += sorted(steps, key=lambda each: each.seconds)
        self._start -= seconds

    def watch(self, library: Library, result: TrialResult) -> None:
        """Remembers a trial; see `Watch`."""
        self.steps.append(step_of(result, self.clock() - self._start))

    def end(self) -> None:
        """Remembers that all is done, the blend too."""
        self.seconds = self.clock() - self._start


def step_of(result: TrialResult, seconds: float) -> Step:
    """Returns a trial that ended so many seconds after the start."""
    return Step(
        seconds=seconds,
        candidate=result.task.candidate.number,
        fold=result.task.fold,
        loss=result.loss,
        spent=result.fit_seconds + result.predict_seconds,
        failure=result.failure,
        message=result.message,
    )

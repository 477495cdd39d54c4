"""How time is given out: to trials, to candidates, to the end of a search."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.tuner.domain.search.library import Entry, Library

_CANDIDATE_SHARE = 0.25
_LEAST_TRIAL = 0.3
_END_SHARE, _END_SECONDS = 0.05, 0.5
_LONGEST_END = 6.0
_PREDICTING, _PREDICTING_SHARE = 3, 0.2
_CALL_SECONDS = 0.1
"""Of what predicting takes, so much is the same for any number of rows."""


@dataclass
class Pace:
    """The time of a search.

    Attributes:
        seconds: The whole budget.
        folds: Folds of a complete candidate.
        clock: Seconds that only grow.
        start: When the budget began.
        predicting: Seconds that the final model will need within the budget to predict.
    """

    seconds: float
    folds: int
    start: float
    clock: Callable[[], float] = time.monotonic
    predicting: float = 0.0

    @property
    def left(self) -> float:
        """Seconds until no trial may run any more; below 0 later."""
        end = min(_END_SECONDS + _END_SHARE * self.seconds, _LONGEST_END)
        end += min(self.predicting, _PREDICTING_SHARE * self.seconds)
        return self.start + self.seconds - end - self.clock()

    @property
    def share(self) -> float:
        """Share of the budget that is spent."""
        return (self.clock() - self.start) / self.seconds

    @property
    def per_trial(self) -> float:
        """Most seconds of a trial: a candidate may not spend more than a part of the budget."""
        wanted = _CANDIDATE_SHARE * self.seconds / self.folds
        return max(_LEAST_TRIAL, min(wanted, self.left))

    def affords(self, entry: Entry, guess: float = 0.0) -> bool:
        """Whether a candidate can still become complete.

        Args:
            entry: The candidate.
            guess: Seconds of a fold, as long as none is done.
        """
        each = entry.seconds or min(guess, self.per_trial)
        return each * (self.folds - entry.folds) <= self.left


class Guesses:
    """Guesses of what a fold takes, from what a family expects and what others took."""

    def __init__(self) -> None:
        """Knows of no fold yet."""
        self._ratios: dict[str, float] = {}

    def learn(self, entry: Entry, expected: float) -> None:
        """Remembers how much longer than expected a candidate's folds took."""
        self._ratios[entry.candidate.family] = entry.seconds / max(expected, 1e-6)

    def seconds(self, family: str, expected: float) -> float:
        """Returns what a fold of a family probably takes."""
        return expected * self._ratios.get(family, 1.0)


def predicting_seconds(library: Library, rows: int) -> float:
    """Returns what a final model of the best candidates probably takes to predict so many rows."""
    best = library.reached(library.fold_count)[:_PREDICTING] if rows else []
    judged = sum(len(each.judged) for each in library.splits) / library.fold_count
    seconds = [result.predict_seconds for each in best for result in each.results]
    by_rows = sum(max(each - _CALL_SECONDS, 0.0) for each in seconds) * rows / judged
    return by_rows + sum(min(each, _CALL_SECONDS) for each in seconds)


def open_entries(library: Library) -> list[Entry]:
    """Returns the candidates that have begun, have not failed and are not complete.

    Of an earlier attempt at a search, those that promised nothing have no models any more, and are
    left at that.
    """
    return [
        each
        for each in library.entries.values()
        if each.failure is None and 0 < each.folds < library.fold_count and each.has_models
    ]

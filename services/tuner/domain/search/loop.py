"""The search: candidates are tried fold by fold until the budget ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from services.tuner.domain.families.family import Family
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import FLOOR, OUTLIERS, Entry
from services.tuner.domain.search.mixing import Mixing
from services.tuner.domain.search.pacing import Guesses, Pace, open_entries, predicting_seconds
from services.tuner.domain.search.racing import is_beaten, is_promising
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.search.trial_loop import TrialLoop
from services.tuner.domain.trials.trial import TrialResult

_MOST_REFUSED = 20
_ROOM = 1.25
_LEAST_GAIN = 0.01


@dataclass
class Search(TrialLoop):
    """A search under way.

    Attributes:
        problem: What is to be learned.
        families: Those that fit the problem, by name.
        sources: Gives candidates.
        pace: The time.
        rows_to_predict: How many the final model predicts within it.
        mixing: Says whether a candidate adds to a better one.
    """

    waits_for_last: ClassVar[bool] = True

    problem: Problem
    families: dict[str, Family]
    sources: Sources
    pace: Pace
    rows_to_predict: int
    mixing: Mixing

    def __post_init__(self) -> None:
        """Knows of costs what is in the library."""
        self._guesses = Guesses()
        self._gains: dict[tuple[int, int, int], float] = {}
        for entry in self.library.entries.values():
            self._learn_cost(entry)

    @property
    def _left(self) -> float:
        return self.pace.left

    def _limit(self, entry: Entry) -> float:
        # What was possible for one fold is not too much for the next.
        needed = max((_needed(each) for each in entry.results), default=0.0)
        return min(max(self.pace.per_trial, needed), self.pace.left)

    def _finish(self, result: TrialResult) -> None:
        super()._finish(result)
        self._learn_cost(self.library.entries[result.task.candidate.number])
        self.pace.predicting = predicting_seconds(self.library, self.rows_to_predict)

    def _learn_cost(self, entry: Entry) -> None:
        if entry.folds and not entry.candidate.bases:
            self._guesses.learn(entry, self._expected(entry))

    def _next(self) -> Entry | None:
        """Returns the candidate to go on with; None if there is no time for any."""
        if self.pace.left <= 0:
            return None
        begun = [
            each
            for each in open_entries(self.library)
            if each.candidate.number not in self._running
            and is_promising(self.library, each)
            and self.pace.affords(each)
        ]
        floors = [each for each in begun if self._is_urgent(each)]
        if floors:
            return floors[0]
        pace = self.pace
        if not self.sources.has_first(self.library, pace.share, pace.per_trial):
            good = [each for each in begun if not self._may_wait(each)]
            # One fold says little of who is best, and blends gain most by what errs differently.
            known = {each.candidate.family for each in self.library.complete}
            first = [each for each in good if each.candidate.family not in known]
            entry = _best(first) or _best(good)
            if entry is not None:
                return entry
        return self._new() or _best(begun) or self._again()

    def _is_urgent(self, entry: Entry) -> bool:
        return entry.origin == OUTLIERS or (entry.origin == FLOOR and not self._may_wait(entry))

    def _may_wait(self, entry: Entry) -> bool:
        """Whether a candidate is clearly beaten and adds nothing to what beats it."""
        if not is_beaten(self.library, entry):
            return False
        best = self.library.reached(entry.folds)[0]
        key = (entry.candidate.number, entry.folds, best.candidate.number)
        if key not in self._gains:
            self._gains[key] = self.mixing.gain(entry, best)
        return self._gains[key] < _LEAST_GAIN

    def _new(self) -> Entry | None:
        for _ in range(_MOST_REFUSED):
            candidate, origin = self.sources.next(self.library)
            entry = self.library.register(candidate, origin)
            guess = self._guesses.seconds(candidate.family, self._expected(entry))
            if self.pace.affords(entry, guess):
                return entry
            del self.library.entries[candidate.number]
        return None

    def _again(self) -> Entry | None:
        """Returns one of the best candidates once more, for what time is left."""
        for candidate, origin in self.sources.again(self.library):
            entry = self.library.register(candidate, origin)
            guess = self._guesses.seconds(candidate.family, self._expected(entry))
            if self.pace.affords(entry, guess):
                return entry
            del self.library.entries[candidate.number]
        return None

    def _expected(self, entry: Entry) -> float:
        family = self.families[entry.candidate.family]
        cost = family.cost(self.problem, entry.candidate.configuration)
        return cost * self.library.share


def _needed(result: TrialResult) -> float:
    """Returns the limit within which a fold is possible that takes as long as another one."""
    if result.is_cut_short:
        return result.task.seconds
    return _ROOM * (result.fit_seconds + result.predict_seconds)


def _best(entries: Sequence[Entry]) -> Entry | None:
    return min(entries, key=lambda each: each.loss(1), default=None)


def fitting_families(
    problem: Problem, families: Sequence[Family]
) -> tuple[dict[str, Family], dict[str, str]]:
    """Returns the families for a problem by name, and why others are not."""
    reasons = {
        each.name: each.fits(problem) if problem.kind in each.kinds else "It learns other kinds."
        for each in families
    }
    return (
        {each.name: each for each in families if not reasons[each.name]},
        {name: reason for name, reason in reasons.items() if reason},
    )

"""The search: candidates are judged window by window until time or gain ends."""

import time
from dataclasses import dataclass
from typing import ClassVar

from services.tuner.domain.forecasting.blending import Costs
from services.tuner.domain.forecasting.sources import ForecastSources
from services.tuner.domain.search.library import FLOOR, Entry
from services.tuner.domain.search.trial_loop import TrialLoop

_CANDIDATE_SHARE = 0.3
_MEMBERS = 6
_LEAST_END, _LEAST_END_SECONDS, _MOST_END = 0.08, 0.5, 0.4
"""Shares of the budget for the final forecasts."""
_LEAST_TRIAL = 0.5
_HOPELESS = (4.0, 2.5, 1.8, 1.5)
"""How much worse than the best after one window, after two and so on is too much: a single window
tells little."""
_ALWAYS = 6
_MOST_PER_ROW, _MOST_LEAST = 1 / 12, 40


@dataclass
class ForecastSearch(TrialLoop):
    """A search under way. Time for the final forecasts is kept: no trial is waited for in it.

    Attributes:
        sources: Gives candidates.
        costs: What the final forecasts of candidates take.
        end: When these have to be done, on `time.monotonic`.
        seconds: Of the whole search.
        judged_rows: Values in all windows: candidates that few rows tell apart are not tried.
    """

    waits_for_last: ClassVar[bool] = False

    sources: ForecastSources
    costs: Costs
    end: float
    seconds: float
    judged_rows: int

    @property
    def _left(self) -> float:
        return self.end - self._reserve - time.monotonic()

    @property
    def _reserve(self) -> float:
        """Seconds that the best so far need to learn everything once more."""
        needed = sum(self.costs.seconds(each) for each in self.library.complete[:_MEMBERS])
        least = max(_LEAST_END * self.seconds, _LEAST_END_SECONDS)
        return min(max(needed, least), _MOST_END * self.seconds)

    def _limit(self, entry: Entry) -> float:
        share = _CANDIDATE_SHARE * self.seconds / self.library.fold_count
        return max(min(max(share, _LEAST_TRIAL), self._left), 0.1)

    def _next(self) -> Entry | None:
        if self._left <= _LEAST_TRIAL / 2:
            return None
        begun = [each for each in self.library.entries.values() if self._goes_on(each)]
        if begun:
            return min(begun, key=lambda each: (each.origin != FLOOR, each.loss(each.folds)))
        if not self.sources.has_known and len(self.library.entries) >= self._most:
            return None
        candidate, origin = self.sources.next(self.library)
        return self.library.register(candidate, origin)

    @property
    def _most(self) -> float:
        return max(_MOST_PER_ROW * self.judged_rows, _MOST_LEAST)

    def _goes_on(self, entry: Entry) -> bool:
        if entry.failure is not None or entry.candidate.number in self._running:
            return False
        if not 0 < entry.folds < self.library.fold_count:
            return False
        if entry.seconds * (self.library.fold_count - entry.folds) > self._left:
            return False
        if self.costs.seconds(entry) > _MOST_END * self.seconds:
            return False
        return entry.origin == FLOOR or self._is_promising(entry)

    def _is_promising(self, entry: Entry) -> bool:
        rivals = self.library.reached(entry.folds)
        if rivals.index(entry) < _ALWAYS:
            return True
        patience = _HOPELESS[min(entry.folds, len(_HOPELESS)) - 1]
        return entry.loss(entry.folds) <= patience * rivals[0].loss(entry.folds)

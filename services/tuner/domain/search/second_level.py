"""Candidates that learn from the best ones so far."""

from collections.abc import Iterable, Mapping

from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space
from services.tuner.domain.trials.lessons import INNER_FOLDS
from services.tuner.domain.trials.trial import Candidate, Lesson

_ROUNDS = (0.5, 0.75)
_MOST_BASES = 3
_MOST_COLUMNS = 60
_MOST_BASE_BYTES = 200 << 20
"""Of all estimators of a base in all folds: the final model holds them."""
_FAR = 1.5
_ON_ROWS_SHARE = 0.5
"""What learns from chosen rows helps less often than what learns from outputs."""
_LINEAR = "linear"

Made = tuple[str, Configuration, tuple[Candidate, ...], Lesson]
"""Family, settings, bases and lesson of a candidate."""


class SecondLevel:
    """Suggests some candidates in the middle of a search, and others towards its end."""

    def __init__(self, problem: Problem, spaces: Mapping[str, Space]) -> None:
        """Has suggested nothing yet.

        Args:
            problem: What is to be learned.
            spaces: Of the families that may be used, by name.
        """
        self._columns = len(problem.outputs)
        self._spaces = spaces
        self._rounds = list(_ROUNDS)
        self._given: set[tuple[object, ...]] = set()

    def skip(self, candidates: Iterable[Candidate]) -> None:
        """Never suggests any of some candidates again."""
        for each in candidates:
            if each.bases:
                self._is_new((each.family, each.configuration, each.bases, each.lesson))

    def suggested(self, library: Library, share: float, seconds: float) -> list[Made]:
        """Returns candidates that were not suggested before; mostly none.

        Args:
            library: What is known.
            share: Of the budget that is spent.
            seconds: What a trial may take.
        """
        if not self._rounds or share < self._rounds[0]:
            return []
        entries = [each for each in library.complete if not each.candidate.bases]
        if not entries:
            return []
        self._rounds.pop(0)
        return [each for each in self._made(entries, seconds) if self._is_new(each)]

    def _made(self, entries: list[Entry], seconds: float) -> list[Made]:
        best = entries[0]
        family, settings = best.candidate.family, best.candidate.configuration
        found: list[Made] = []
        if _inner_seconds([best]) + best.seconds <= _ON_ROWS_SHARE * seconds:
            own = (best.candidate,)
            found = [(family, settings, own, each) for each in _ON_ROWS]
        bases = tuple(each.candidate for each in self._bases(entries, seconds - best.seconds))
        if not bases:
            return found
        stacked: list[Made] = [(family, settings, bases, Lesson.OUTPUTS)]
        if _LINEAR in self._spaces and family != _LINEAR:
            plain = self._spaces[_LINEAR].default
            stacked.append((_LINEAR, plain, bases, Lesson.OUTPUTS))
        return [*stacked, *found]

    def _bases(self, entries: list[Entry], seconds: float) -> list[Entry]:
        """Returns the best of some families that are not far behind, as time allows."""
        found: list[Entry] = []
        for each in entries:
            most = min(_MOST_BASES, _MOST_COLUMNS // self._columns)
            is_far = each.loss(each.folds) > _FAR * max(entries[0].loss(each.folds), 0.0)
            is_known = each.candidate.family in [other.candidate.family for other in found]
            if len(found) == most or is_far or is_known or _is_large(each):
                continue
            if _inner_seconds([*found, each]) <= seconds:
                found.append(each)
        return found

    def _is_new(self, made: Made) -> bool:
        family, settings, bases, lesson = made
        space = self._spaces[family]
        key = (family, space.key(settings), tuple(each.number for each in bases), lesson)
        if key in self._given:
            return False
        self._given.add(key)
        return True


_ON_ROWS = (Lesson.HARD_ROWS, Lesson.CLEAN_ROWS)


def _is_large(base: Entry) -> bool:
    own = sum(each.model_bytes for each in base.results)
    return INNER_FOLDS * own > _MOST_BASE_BYTES


def _inner_seconds(bases: list[Entry]) -> float:
    """Returns what fitting bases on parts of a fold takes, roughly."""
    return sum((INNER_FOLDS - 1) * each.seconds for each in bases)

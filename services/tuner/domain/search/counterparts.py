"""Candidates once more by the marks of an outlier scan: first to prove what they are worth."""

from collections.abc import Sequence
from dataclasses import replace

from common.scoring.outlier_uses import BASELINE, USES, Use
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.trials.trial import Candidate

_ROUNDS = (0.3, 0.55, 0.8)
"""Shares of the budget: the first proves, the others follow where something is proven."""
_MOST = 3
"""Candidates of a round."""
_OTHERS: tuple[Use, ...] = tuple(each for each in USES if each != BASELINE)


class Counterparts:
    """Suggests candidates by their marks; none where there are no marks, or nothing is marked."""

    def __init__(self, problem: Problem) -> None:
        """Has suggested nothing yet.

        Args:
            problem: What is to be learned.
        """
        has_marks = problem.marks is not None and problem.marks.tells
        self._rounds = list(_ROUNDS) if has_marks else []

    def suggested(self, library: Library, share: float, seconds: float) -> list[Candidate]:
        """Returns candidates, each with the number of its counterpart; mostly none.

        Args:
            library: What is known.
            share: Of the budget that is spent.
            seconds: What a fold of all of them may take together.
        """
        if not self._rounds or share < self._rounds[0]:
            return []
        entries = [each for each in library.complete if _is_plain(each)]
        if not entries:
            return []
        self._rounds.pop(0)
        known = {
            (each.candidate.counterpart, each.candidate.use) for each in library.entries.values()
        }
        begun = [each for each in entries if each.candidate.number in dict(known)]
        if library.proof is None:
            made = _made(begun or _best_of_families(entries), _OTHERS, seconds)
            return [each for each in made if (each.counterpart, each.use) not in known]
        if library.adopted == BASELINE:
            return []
        new = [each for each in entries if each not in begun]
        return _made(new[:_MOST], (library.adopted,), seconds)


def _is_plain(entry: Entry) -> bool:
    return entry.candidate.use == BASELINE and not entry.candidate.bases


def _best_of_families(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the best of some families: what marks are worth differs more between families."""
    first = {each.candidate.family: each for each in reversed(entries)}
    return sorted(first.values(), key=entries.index)[:_MOST]


def _made(entries: Sequence[Entry], uses: Sequence[Use], seconds: float) -> list[Candidate]:
    """Returns counterparts of as many as there is time for, of one at least."""
    found: list[Candidate] = []
    for entry in entries:
        seconds -= len(uses) * entry.seconds
        if found and seconds < 0:
            break
        number = entry.candidate.number
        found += [replace(entry.candidate, use=each, counterpart=number) for each in uses]
    return found

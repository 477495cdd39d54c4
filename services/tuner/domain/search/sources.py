"""Where candidates come from: what is always tried first, and what the record suggests."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from common.scoring.outlier_uses import BASELINE
from services.tuner.domain.families.family import Family
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.portfolio.defaults import (
    FIRST,
    QUICKEST,
    Known,
    floors_for,
    is_table,
)
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.counterparts import Counterparts
from services.tuner.domain.search.joint import (
    joined_configuration,
    joint_space,
    parted_configuration,
)
from services.tuner.domain.search.library import (
    CONTINUED,
    FLOOR,
    OUTLIERS,
    PORTFOLIO,
    REPEATED,
    STACKING,
    SURROGATE,
    Entry,
    Library,
)
from services.tuner.domain.search.second_level import Made, SecondLevel
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.surrogate.history import Told
from services.tuner.domain.trials.trial import Candidate

_BATCH = 4
_BREADTH_SHARE = 0.4
_BEST, _MOST_TIMES = 5, 4


class Sources:
    """Gives candidates one after another, without end, none twice."""

    def __init__(
        self,
        problem: Problem,
        families: Sequence[Family],
        seed: int,
        first: Sequence[tuple[str, Configuration]] = FIRST,
    ) -> None:
        """Has given none yet.

        Args:
            problem: What is to be learned.
            families: Those that fit, at least one.
            seed: Of all chance.
            first: What to try after the floors, in order.
        """
        self._families = {each.name: each for each in families}
        self._spaces = {each.name: each.space(problem) for each in families}
        self._space = joint_space(problem, families)
        self._seed = seed
        self._generator = np.random.default_rng(seed)
        self._numbers = count()
        quickest = [QUICKEST] if is_table(problem) else []
        self._known = self._portfolio(quickest, floors_for(problem), first)
        self._proposed: list[Configuration] = []
        self._second_level = SecondLevel(problem, self._spaces)
        self._stacked: list[Made] = []
        self._counterparts = Counterparts(problem)
        self._by_marks: list[Candidate] = []

    def go_on(self, library: Library, found: Sequence[tuple[str, Configuration]]) -> None:
        """Goes on after candidates that are known already.

        Args:
            library: Holds them; none is given again.
            found: What another search found, the best first: it is given first.
        """
        known = [each.candidate for each in library.entries.values()]
        if known:
            self._numbers = count(max(each.number for each in known) + 1)
            self._generator = np.random.default_rng([self._seed, len(known)])
        given = [(each.family, each.configuration) for each in known if not each.bases]
        first = self._continued(found)
        found_too = [each[:2] for each in first]
        rest = [each for each in self._known if each[:2] not in found_too]
        self._known = [each for each in (*first, *rest) if each[:2] not in given]
        self._second_level.skip(known)

    def _continued(
        self, found: Sequence[tuple[str, Configuration]]
    ) -> list[tuple[str, Configuration, str]]:
        """Returns what another search found; what anybody would try keeps its own origin."""
        floors = [each[:2] for each in self._known if each[2] == FLOOR]
        first: list[tuple[str, Configuration, str]] = []
        for family, some in found:
            if family not in self._families:
                continue
            configuration = adapted(self._spaces[family], some)
            if (family, configuration) not in [each[:2] for each in first]:
                origin = FLOOR if (family, configuration) in floors else CONTINUED
                first.append((family, configuration, origin))
        return first

    def next(self, library: Library) -> tuple[Candidate, str]:
        """Returns a candidate and where it comes from."""
        if self._by_marks:
            return replace(self._by_marks.pop(0), number=next(self._numbers)), OUTLIERS
        if self._stacked:
            made = Candidate(next(self._numbers), *self._stacked.pop(0), use=library.adopted)
            return made, STACKING
        if self._known:
            family, some, origin = self._known.pop(0)
            return Candidate(next(self._numbers), family, some), origin
        if not self._proposed:
            self._proposed = self._suggested(library)
        family, configuration = parted_configuration(self._proposed.pop(0))
        return Candidate(next(self._numbers), family, configuration), SURROGATE

    def again(self, library: Library) -> list[tuple[Candidate, str]]:
        """Returns the best candidates again, which chance makes others: their mean is steadier."""
        best = [each for each in library.complete if not each.candidate.bases][:_BEST]
        return [
            (replace(each.candidate, number=next(self._numbers), counterpart=None), REPEATED)
            for each in sorted(best, key=lambda each: _times(library, each))
            if _times(library, each) <= _MOST_TIMES and not _is_repeated_in_vain(library, each)
        ]

    def has_first(self, library: Library, share: float, seconds: float) -> bool:
        """Whether there are candidates to begin before any that was begun goes on.

        First is all that is known, until a share of the time is spent, what learns from others,
        and what learns by the marks of an outlier scan.

        Args:
            library: What is known.
            share: Of the budget that is spent.
            seconds: What a trial may take.
        """
        self._stacked += self._second_level.suggested(library, share, seconds)
        self._by_marks += self._counterparts.suggested(library, share, seconds)
        return bool(self._stacked or self._by_marks) or (
            bool(self._known) and share < _BREADTH_SHARE
        )

    def _portfolio(
        self, quickest: Sequence[Known], floors: Sequence[Known], first: Sequence[Known]
    ) -> list[tuple[str, Configuration, str]]:
        given = [
            *((PORTFOLIO, each) for each in quickest),
            *((FLOOR, each) for each in floors),
            *((PORTFOLIO, each) for each in first),
        ]
        found: list[tuple[str, Configuration, str]] = []
        for origin, (family, some) in given:
            if family not in self._families:
                continue
            configuration = adapted(self._spaces[family], some)
            # What differs only in what the problem does not offer is the same.
            if (family, configuration) not in [each[:2] for each in found]:
                found.append((family, configuration, origin))
        return found

    def _suggested(self, library: Library) -> list[Configuration]:
        # Imported here: the compiler comes with it, which the first trials need not wait for.
        from services.tuner.domain.surrogate.proposer import propose  # noqa: PLC0415

        told, pending = [], []
        for entry in library.entries.values():
            if entry.candidate.bases or entry.candidate.use != BASELINE:
                continue
            configuration = joined_configuration(
                entry.candidate.family, entry.candidate.configuration
            )
            if entry.folds:
                told.append(Told(configuration, entry.loss(1), entry.seconds))
            elif entry.failure is not None:
                told.append(Told(configuration, float("inf"), entry.failure.task.seconds))
            else:
                pending.append(configuration)
        return propose(self._space, told, pending, self._generator, _BATCH)


def _times(library: Library, entry: Entry) -> int:
    return len(library.alike(entry))


def _is_repeated_in_vain(library: Library, entry: Entry) -> bool:
    """Whether a repetition was given up, because chance changes nothing or because it failed."""
    return any(
        each.origin == REPEATED and each.folds < library.fold_count for each in library.alike(entry)
    )

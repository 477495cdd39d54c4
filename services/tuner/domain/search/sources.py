"""Where candidates come from: what is always tried first, and what the record suggests."""

from collections.abc import Sequence
from itertools import count

import numpy as np

from services.tuner.domain.families.family import Family
from services.tuner.domain.portfolio.defaults import FIRST, FLOORS
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.joint import (
    joined_configuration,
    joint_space,
    parted_configuration,
)
from services.tuner.domain.search.library import (
    FLOOR,
    PORTFOLIO,
    SURROGATE,
    Library,
)
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.surrogate.proposer import Told, propose
from services.tuner.domain.trials.trial import Candidate

_BATCH = 4


class Sources:
    """Gives candidates one after another, without end, none twice."""

    def __init__(self, problem: Problem, families: Sequence[Family], seed: int) -> None:
        """Has given none yet.

        Args:
            problem: What is to be learned.
            families: Those that fit, at least one.
            seed: Of all chance.
        """
        self._families = {each.name: each for each in families}
        self._spaces = {each.name: each.space(problem) for each in families}
        self._space = joint_space(problem, families)
        self._generator = np.random.default_rng(seed)
        self._numbers = count()
        self._known = self._portfolio()
        self._proposed: list[Configuration] = []

    def next(self, library: Library) -> tuple[Candidate, str]:
        """Returns a candidate and where it comes from."""
        if self._known:
            family, some, origin = self._known.pop(0)
            return Candidate(next(self._numbers), family, some), origin
        if not self._proposed:
            self._proposed = self._suggested(library)
        family, configuration = parted_configuration(self._proposed.pop(0))
        return Candidate(next(self._numbers), family, configuration), SURROGATE

    @property
    def has_known(self) -> bool:
        """Whether what is good on other data has not all been given."""
        return bool(self._known)

    def _portfolio(self) -> list[tuple[str, Configuration, str]]:
        found: list[tuple[str, Configuration, str]] = []
        for place, (family, some) in enumerate((*FLOORS, *FIRST)):
            if family not in self._families:
                continue
            configuration = self._spaces[family].completed(some)
            # What differs only in what the problem does not offer is the same.
            if (family, configuration) not in [each[:2] for each in found]:
                found.append((family, configuration, FLOOR if place < len(FLOORS) else PORTFOLIO))
        return found

    def _suggested(self, library: Library) -> list[Configuration]:
        told, pending = [], []
        for entry in library.entries.values():
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

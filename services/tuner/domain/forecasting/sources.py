"""Where candidates come from: what is always tried first, then what the record suggests."""

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from services.tuner.domain.forecasting.families.family import ForecastFamily
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.joint import (
    joined_configuration,
    joint_space,
    parted_configuration,
)
from services.tuner.domain.search.library import CONTINUED, PORTFOLIO, SURROGATE, Library
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.proposer import Told, propose
from services.tuner.domain.trials.trial import Candidate

FLOOR_FAMILY = "naive"
"""Its default is what anybody would say first; it is judged before any that come from here."""

FIRST: tuple[tuple[str, Configuration], ...] = (
    ("linear_lags", {}),
    ("linear_lags", {"lags": 24, "season_lags": 3, "waves": 6, "ridge": 0.01}),
    ("theta", {}),
    ("boosted_lags", {}),
    ("ets", {}),
    ("mstl", {}),
    ("boosted_lags", {"from_season": True, "lags": 16}),
    ("theta", {"log": True, "option": "additive"}),
    ("ces", {}),
    ("mstl", {"option": "theta", "log": True}),
    ("linear_lags", {"changes": True, "lags": 12, "season_lags": 3, "log": True}),
    ("ets", {"option": "ZZZd", "log": True}),
    ("boosted_lags", {"block": "step", "lags": 24, "objective": "l2"}),
    ("arima", {}),
    ("naive", {"kind": "seasonal_mean"}),
    ("naive", {"kind": "seasonal_drift"}),
    ("linear_lags", {"lags": 2, "waves": 10, "trend": True, "recent": True}),
    ("boosted_lags", {"log": True, "leaves": 8, "rounds": 300, "learning_rate": 0.03}),
    ("arima", {"log": True}),
    ("ets", {"log": True, "longest": True}),
    ("naive", {"kind": "mean"}),
    ("naive", {"kind": "drift"}),
    ("naive", {"kind": "naive"}),
    ("mstl", {"option": "arima", "log": True}),
)
"""What is good on other series; what a panel does not offer is left out."""

_BATCH = 2


class ForecastSources:
    """Gives candidates one after another, none twice."""

    def __init__(self, problem: Problem, families: Sequence[ForecastFamily], seed: int) -> None:
        """Has given none yet.

        Args:
            problem: What is to be forecast.
            families: At least one.
            seed: Of all chance.
        """
        self._spaces = {each.name: each.space(problem) for each in families}
        self._space = joint_space(problem, families)
        self._seed = seed
        self._generator = np.random.default_rng(seed)
        self._numbers = count()
        self._known = [(*each, PORTFOLIO) for each in _portfolio(self._spaces)]
        self._proposed: list[Configuration] = []

    def go_on(self, library: Library, found: Sequence[tuple[str, Configuration]] = ()) -> None:
        """Goes on after candidates that are known already.

        Args:
            library: Holds them, the floor at least; none is given again.
            found: What another search found, the best first: it is given first.
        """
        known = [each.candidate for each in library.entries.values()]
        self._numbers = count(max(each.number for each in known) + 1)
        if len(known) > 1:  # what the attempt before has proposed is not proposed again
            self._generator = np.random.default_rng([self._seed, len(known)])
        given = [(each.family, each.configuration) for each in known]
        first = [
            (family, adapted(self._spaces[family], some), CONTINUED)
            for family, some in found
            if family in self._spaces
        ]
        rest, self._known = [*first, *self._known], []
        for family, configuration, origin in rest:
            if (family, configuration) not in given:
                given.append((family, configuration))
                self._known.append((family, configuration, origin))

    @property
    def has_known(self) -> bool:
        """Whether there are some that are always tried."""
        return bool(self._known)

    def next(self, library: Library) -> tuple[Candidate, str]:
        """Returns a candidate and where it comes from."""
        if self._known:
            family, configuration, origin = self._known.pop(0)
            return Candidate(next(self._numbers), family, configuration), origin
        if not self._proposed:
            self._proposed = propose(self._space, _told(library), [], self._generator, _BATCH)
        family, configuration = parted_configuration(self._proposed.pop(0))
        return Candidate(next(self._numbers), family, configuration), SURROGATE


def _portfolio(spaces: Mapping[str, Space]) -> list[tuple[str, Configuration]]:
    found: list[tuple[str, Configuration]] = []
    for family, some in FIRST:
        if family not in spaces:
            continue
        configuration = spaces[family].completed(_offered(spaces[family], some))
        if (family, configuration) not in found:
            found.append((family, configuration))
    return found


def _offered(space: Space, some: Configuration) -> Configuration:
    """Returns the settings that a space has, within it."""
    names = {each.name: each for each in space.parameters}
    return {
        name: value
        for name, value in some.items()
        if name in names and value in getattr(names[name], "values", (value,))
    }


def _told(library: Library) -> list[Told]:
    """Returns what is known, losses in units of others on the same windows."""
    usual = {
        folds: float(np.median([each.loss(folds) for each in library.reached(folds)])) or 1.0
        for folds in range(1, library.fold_count + 1)
        if library.reached(folds)
    }
    told = []
    for entry in library.entries.values():
        point = joined_configuration(entry.candidate.family, entry.candidate.configuration)
        if entry.folds:
            told.append(Told(point, entry.loss(entry.folds) / usual[entry.folds], entry.seconds))
        elif entry.failure is not None:
            told.append(Told(point, float("inf"), entry.failure.task.seconds))
        else:
            told.append(Told(point, 1.0, 0.0))
    return told

"""Families of models of single series."""

from dataclasses import dataclass

import numpy as np

from common.models.estimators.forecasting import classical
from common.models.estimators.forecasting.classical import Classical
from common.models.estimators.forecasting.member import Member
from common.models.estimators.forecasting.simple import SEASONAL_NAIVE, SIMPLE
from services.tuner.domain.forecasting.families.family import ForecastFamily, Lesson, panel_of
from services.tuner.domain.forecasting.panel import Panel
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Parameter
from services.tuner.domain.space.space import Space

KIND, OPTION, IS_LOG, SEASONS, LONGEST = "kind", "option", "log", "seasons", "longest"

_OPTIONS = {
    classical.ETS: ("ZZZ", "ZZZd", "AZZ", "ANA", "AAAd"),
    classical.THETA: ("multiplicative", "additive"),
    classical.MSTL: ("ets", "theta", "arima", "ces"),
}
_ANY, _MAIN, _NONE = "all", "main", "none"
_EVERYTHING = 0
_CYCLES_KEPT = 6
_LONG = 500


@dataclass(frozen=True)
class Naive(ForecastFamily):
    """What anybody would say first."""

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        return Space(
            (
                Choice(
                    KIND,
                    (SEASONAL_NAIVE, *(n for n in SIMPLE if n != SEASONAL_NAIVE)),
                    SEASONAL_NAIVE,
                ),
            )
        )

    def learned(self, lesson: Lesson, configuration: Configuration) -> Member:
        """See `ForecastFamily.learned`."""
        return Classical(str(configuration[KIND]), lesson.panel.season_lengths)


@dataclass(frozen=True)
class Statistical(ForecastFamily):
    """Models of statsforecast; the name is that of a kind of `Classical`."""

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        panel = panel_of(problem)
        parameters: list[Parameter] = []
        if self.name in _OPTIONS:
            options = _OPTIONS[self.name]
            parameters.append(Choice(OPTION, options, options[0]))
        if is_positive(panel):
            parameters.append(Choice(IS_LOG, (False, True), False))
        if panel.season_lengths:
            parameters.append(_seasons(panel, self.name))
        if _is_long(panel):
            parameters.append(Choice(LONGEST, (False, True), False))
        return Space(tuple(parameters))

    def learned(self, lesson: Lesson, configuration: Configuration) -> Member:
        """See `ForecastFamily.learned`."""
        panel = lesson.panel
        which = configuration.get(SEASONS, _ANY)
        seasons = panel.season_lengths if which == _ANY else panel.season_lengths[:1]
        longest = kept_length(panel) if configuration.get(LONGEST) else _EVERYTHING
        return Classical(
            self.name,
            () if which == _NONE else seasons,
            str(configuration.get(OPTION, "")),
            bool(configuration.get(IS_LOG)),
            longest,
        )


def is_positive(panel: Panel) -> bool:
    """Whether all values are above 0, so that logarithms can be taken."""
    return all(float(np.nanmin(each.values)) > 0 for each in panel.series)


def kept_length(panel: Panel) -> int:
    """Returns to how many of the last values models may be kept that look at few."""
    return max(_CYCLES_KEPT * panel.season, 4 * panel.horizon, _LONG)


def _is_long(panel: Panel) -> bool:
    return max(len(each.values) for each in panel.series) > kept_length(panel)


def _seasons(panel: Panel, kind: str) -> Choice:
    if kind == classical.MSTL and len(panel.season_lengths) > 1:
        return Choice(SEASONS, (_ANY, _MAIN), _ANY)
    return Choice(SEASONS, (_MAIN, _NONE), _MAIN)

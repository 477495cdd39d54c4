"""The family of lines through lags, waves and covariates."""

from dataclasses import dataclass

from common.models.estimators.forecasting.linear_lags import LinearLags
from common.models.estimators.forecasting.member import Member
from services.tuner.domain.forecasting.families.classical import IS_LOG, is_positive, kept_length
from services.tuner.domain.forecasting.families.family import ForecastFamily, Lesson, panel_of
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Integer, Parameter
from services.tuner.domain.space.space import Space

_MOST_COVARIATES = 200


@dataclass(frozen=True)
class LinearFamily(ForecastFamily):
    """Ridge regressions, one for each series."""

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        panel = panel_of(problem)
        parameters: list[Parameter] = [
            Integer("lags", 0, 48, 3),
            Float("ridge", 1e-6, 1.0, 1e-3, is_log=True),
            Choice("changes", (False, True), False),
            Choice("trend", (False, True), False),
            Choice("recent", (False, True), False),
        ]
        if panel.season_lengths:
            parameters += [
                Choice("season_lags", (0, 1, 3, 5), 0),
                Integer("waves", 0, 12, 4),
            ]
        if is_positive(panel):
            parameters.append(Choice(IS_LOG, (False, True), False))
        return Space(tuple(parameters))

    def learned(self, lesson: Lesson, configuration: Configuration) -> Member:
        """See `ForecastFamily.learned`."""
        panel = lesson.panel
        known = [n for n, each in enumerate(panel.names.covariates) if each.is_known]
        return LinearLags(
            seasons=panel.long_seasons,
            lags=int(configuration["lags"]),
            season_lags=int(configuration.get("season_lags", 0)),
            waves=int(configuration.get("waves", 0)),
            ridge=float(configuration["ridge"]),
            is_changes=bool(configuration["changes"]),
            is_log=bool(configuration.get(IS_LOG)),
            longest=kept_length(panel) if configuration["recent"] else 0,
            has_trend=bool(configuration["trend"]),
            columns=tuple(known[:_MOST_COVARIATES]),
        )

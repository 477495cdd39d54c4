"""From a panel and a budget to a forecaster."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.models.estimators.forecasting.forecaster import Forecaster, Part
from common.models.estimators.forecasting.intervals import Intervals
from common.scoring.metric import Metric
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.forecast_estimate import window_count
from services.tuner.domain.forecasting.backtests import (
    Backtest,
    backtests_of,
    intervals_of,
    loss_of,
    members_left,
    told_of,
)
from services.tuner.domain.forecasting.blending import chosen_blend, costs_of, with_weights
from services.tuner.domain.forecasting.families.family import ForecastFamily, Trained
from services.tuner.domain.forecasting.finishing import finished
from services.tuner.domain.forecasting.floor import add_floor, trained
from services.tuner.domain.forecasting.judging import judging_of, whole_of, windows_of
from services.tuner.domain.forecasting.panel import ForecastProblem, Panel, problem_of
from services.tuner.domain.forecasting.registry import FAMILIES
from services.tuner.domain.forecasting.search import ForecastSearch
from services.tuner.domain.forecasting.sources import FLOOR_FAMILY, ForecastSources
from services.tuner.domain.search.earlier import NOTHING_EARLIER, Earlier
from services.tuner.domain.search.library import FLOOR, Library
from services.tuner.domain.search.trial_loop import Watch, never, silent
from services.tuner.domain.search.tuning import NothingLearnedError
from services.tuner.domain.trials.hosting import TrialHost

__all__ = ["ForecastSettings", "NothingLearnedError", "TunedForecast", "tune_forecast"]

_REGISTRY = "services.tuner.domain.forecasting.host_registry"
_CLOSE_SHARE, _LEAST_CLOSE = 0.03, 0.3
_BLEND_SHARE, _HURRY = 0.05, 5.0


@dataclass(frozen=True)
class ForecastSettings:
    """What a search may do.

    Attributes:
        seconds: The budget, everything included.
        metric: One of `FORECAST_METRICS`; empty for the first.
        memory_bytes: What each trial may hold beyond the data.
        concurrency: Trials at once.
        families: Names of families that may be tried; empty for all.
        seed: Of all chance.
    """

    seconds: float = 60.0
    metric: str = ""
    memory_bytes: int = 2 << 30
    concurrency: int = 1
    families: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class TunedForecast:
    """What a search found.

    Attributes:
        estimator: The final model.
        metric: What was made small.
        ensemble: Its parts.
        library: All candidates; a fold is a window of the past.
        problem: The values as rows, to which the library's splits refer.
        backtests: What the blend told of the windows, and what came.
    """

    estimator: Forecaster
    metric: Metric
    ensemble: Ensemble
    library: Library
    problem: ForecastProblem
    backtests: list[Backtest] = field(default_factory=list)


def tune_forecast(
    panel: Panel,
    settings: ForecastSettings,
    folder: Path,
    watch: Watch = silent,
    is_stopped: Callable[[], bool] = never,
    earlier: Earlier = NOTHING_EARLIER,
) -> TunedForecast:
    """Returns the best forecaster that is found within a budget.

    Args:
        panel: What is to be forecast.
        settings: The budget and what may be tried.
        folder: Exists, and holds nothing else.
        watch: Told of every trial; may raise to stop.
        is_stopped: Asked again and again; once it says so, the best so far is returned within
            seconds.
        earlier: What is known already; no window of it is forecast again.

    Raises:
        NothingLearnedError: No candidate has a score.
        InvalidFieldError: There is no such metric.
    """
    start = time.monotonic()
    judging = judging_of(panel, settings.metric)
    problem = problem_of(panel, judging.weights)
    most = earlier.parts or window_count(settings.seconds)
    windows = windows_of(problem, panel, most, settings.seed)
    if not windows:
        raise NothingLearnedError("The series are too short to hold anything out.")
    splits = [each.split for each in windows]
    library = Library(splits, most)
    families = _families(settings)
    earlier.fill(library, list(families), always=FLOOR)
    with TrialHost(
        problem,
        [*splits, whole_of(problem, panel).split],
        judging.metric,
        folder,
        memory_bytes=settings.memory_bytes,
        concurrency=settings.concurrency,
        seed=settings.seed,
        registry=_REGISTRY,
    ) as host:
        close = start + settings.seconds - max(_CLOSE_SHARE * settings.seconds, _LEAST_CLOSE)
        costs = costs_of(problem, library, FAMILIES)
        for each in add_floor(problem, judging.metric, library, FAMILIES[FLOOR_FAMILY], 0):
            watch(library, each)
        sources = ForecastSources(problem, list(families.values()), settings.seed)
        sources.go_on(library, earlier.first)
        rows = sum(len(each.judged) for each in splits)
        search = ForecastSearch(
            host, library, watch, is_stopped, sources, costs, close, settings.seconds, rows
        )
        search.run(settings.concurrency)
        if is_stopped():
            close = min(close, time.monotonic() + max(_HURRY, _BLEND_SHARE * settings.seconds))
        seconds = _BLEND_SHARE * settings.seconds
        blend = chosen_blend(problem, judging.metric, library, costs, close, seconds)
        made = dict(finished(blend, host, library, len(splits), close))
    if not made:
        whole = whole_of(problem, panel).split
        made[0] = trained(problem, whole, FAMILIES[FLOOR_FAMILY], library.entries[0].candidate)[0]
        blend = with_weights(blend, {0: 1.0})
    left = with_weights(blend, members_left(blend, made))
    if len(left.weights) < len(blend.weights):
        left = replace(left, loss=loss_of(problem, judging.metric, library, left))
    told = told_of(problem, panel, library, left, windows)
    intervals = intervals_of(panel, told)
    return TunedForecast(
        _forecaster(panel, left, made, intervals),
        judging.metric,
        left,
        library,
        problem,
        backtests_of(panel, told, intervals),
    )


def _families(settings: ForecastSettings) -> Mapping[str, ForecastFamily]:
    wanted = settings.families
    return {name: each for name, each in FAMILIES.items() if not wanted or name in wanted}


def _forecaster(
    panel: Panel, ensemble: Ensemble, made: Mapping[int, Trained], intervals: Intervals
) -> Forecaster:
    """Returns the final model."""
    ends = [each.start + len(each.values) for each in panel.series]
    kept = [panel.history(place, end) for place, end in enumerate(ends)]
    parts = [
        Part(each.member, ensemble.weights[number], each.forecasts) for number, each in made.items()
    ]
    return Forecaster.of(
        parts,
        panel.names,
        panel.grid,
        kept,
        panel.labels,
        intervals,
        horizon=panel.horizon,
        season=panel.season,
        mean=ensemble.mean,
    )

"""What a blend told of the windows of the past, and what came."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.models.estimators.combining import combined
from common.models.estimators.forecasting.grid import Floats, Steps
from common.models.estimators.forecasting.intervals import Intervals
from common.scoring.metric import Metric
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.forecasting.judging import Window
from services.tuner.domain.forecasting.panel import SERIES, STEP, ForecastProblem, Panel
from services.tuner.domain.search.library import Library

LOW, HIGH = 0.1, 0.9
_MOST, _HISTORY = 60, 120


@dataclass(frozen=True, eq=False)
class Backtest:
    """A series in a window.

    Attributes:
        series: Its name, empty where there is one.
        window: Number of the window, 0 for the latest.
        times: Of the steps, as texts.
        before: Of the steps before, as texts.
        history: What was known of these, NaN where nothing was.
        truth: What came, NaN where that is not known.
        forecasts: What the blend told.
        low: Below it lies one in ten.
        high: Above it lies one in ten.
    """

    series: str
    window: int
    times: list[str]
    before: list[str]
    history: Floats
    truth: Floats
    forecasts: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Told:
    """What a blend told of one window.

    Attributes:
        series: Position of each series that was judged.
        ends: Of these the first step that is told.
        truth: (series, horizon), NaN where it is not known.
        forecasts: Shaped alike, NaN where nothing was judged.
    """

    series: Steps
    ends: Steps
    truth: Floats
    forecasts: Floats


def told_of(
    problem: ForecastProblem,
    panel: Panel,
    library: Library,
    ensemble: Ensemble,
    windows: list[Window],
) -> list[Told]:
    """Returns what a blend told of the windows that all of its members have."""
    folds = min(library.entries[number].folds for number in ensemble.weights)
    return [
        _told(problem, panel, windows[fold], _outputs(library, ensemble, fold))
        for fold in range(folds)
    ]


def loss_of(
    problem: ForecastProblem, metric: Metric, library: Library, ensemble: Ensemble
) -> float:
    """Returns the loss of a blend on the windows that all of its members have."""
    folds = range(min(library.entries[number].folds for number in ensemble.weights))
    rows = np.concatenate([library.splits[fold].judged for fold in folds])
    outputs = np.concatenate([_outputs(library, ensemble, fold) for fold in folds])
    weights = None if problem.weights is None else problem.weights[rows]
    return metric.loss(problem.truth[rows], outputs[:, None], weights)


def intervals_of(panel: Panel, told: list[Told]) -> Intervals:
    """Returns how far off a blend was, by step."""
    scales = panel.scales()
    errors = [(each.truth - each.forecasts) / scales[each.series, None] for each in told]
    return Intervals.of(np.vstack(errors) if errors else np.zeros((0, panel.horizon)))


def backtests_of(panel: Panel, told: list[Told], intervals: Intervals) -> list[Backtest]:
    """Returns what people look at: the latest windows, some series of each."""
    each_count = max(_MOST // max(len(told), 1), 1)
    return [
        _backtest(panel, number, each, place, intervals)
        for number, each in enumerate(told)
        for place in range(min(len(each.series), each_count))
    ]


def _outputs(library: Library, ensemble: Ensemble, fold: int) -> Floats:
    results = {number: library.entries[number].results[fold] for number in ensemble.weights}
    outputs = [each.outputs for each in results.values() if each.outputs is not None]
    return combined(outputs, list(ensemble.weights.values()), ensemble.mean)[:, 0]


def _told(problem: ForecastProblem, panel: Panel, window: Window, outputs: Floats) -> Told:
    rows = window.split.judged
    places = problem.features[SERIES].to_numpy()[rows].astype(np.int64)
    steps = problem.features[STEP].to_numpy()[rows].astype(np.int64)
    series = np.unique(places)
    own = np.searchsorted(series, places)
    ahead = np.minimum(steps - window.ends[places], panel.horizon - 1)
    shape = (len(series), panel.horizon)
    truth, forecasts = np.full(shape, np.nan), np.full(shape, np.nan)
    truth[own, ahead], forecasts[own, ahead] = problem.truth[rows], outputs
    return Told(series, window.ends[series], truth, forecasts)


def _backtest(panel: Panel, number: int, told: Told, place: int, intervals: Intervals) -> Backtest:
    series, end = panel.series[int(told.series[place])], int(told.ends[place])
    steps = end + np.arange(panel.horizon)
    known = np.flatnonzero(~np.isnan(told.forecasts[place]))
    last = int(known[-1]) + 1 if len(known) else 0
    forecasts = told.forecasts[place]
    scale = panel.scales()[told.series[place]]
    bounds = intervals.quantiles(forecasts[None], np.array([scale]), (LOW, HIGH))[0]
    begin = max(end - _HISTORY, series.start)
    return Backtest(
        series.title,
        number,
        _texts(panel, steps[:last]),
        _texts(panel, np.arange(begin, end)),
        series.values[begin - series.start : end - series.start],
        told.truth[place, :last],
        forecasts[:last],
        bounds[:last, 0],
        bounds[:last, 1],
    )


def _texts(panel: Panel, steps: Steps) -> list[str]:
    return [
        str(each).removesuffix("T00:00:00.000000").removesuffix(".000000")
        for each in panel.grid.moments(steps)
    ]


def members_left(ensemble: Ensemble, found: Mapping[int, object]) -> dict[int, float]:
    """Returns the weights of the members that were learned."""
    return {number: weight for number, weight in ensemble.weights.items() if number in found}

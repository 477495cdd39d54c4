"""What forecasts are judged by, and on which windows."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from common.errors import InvalidFieldError
from common.models.estimators.forecasting.grid import Floats, Steps
from common.scoring.forms import VALUES, MeanMetric
from common.scoring.metric import Needs
from common.scoring.rows import RowValues
from common.scoring.values import MAE, MAPE, RMSE
from common.wording import quoted
from services.tuner.domain.forecasting.names import FORECAST_METRICS
from services.tuner.domain.forecasting.panel import SERIES, STEP, ForecastProblem, Panel
from services.tuner.domain.problem import Outputs, Truth
from services.tuner.domain.trials.trial import Split

MASE, SMAPE = "mase", "smape"
_FEW_SERIES, _MANY_SERIES, _MOST_SERIES = 8, 8, 200
_LEAST_KNOWN = 5
_LEAST_SEASONS = 2


@dataclass(frozen=True)
class Judging:
    """A metric with the weights of the series that make it.

    Attributes:
        metric: Of rows.
        weights: Of the series, (series,); None where all count alike.
    """

    metric: MeanMetric
    weights: Floats | None


def judging_of(panel: Panel, name: str) -> Judging:
    """Returns what a panel is judged by.

    Args:
        panel: The series, from which `mase` takes their scales.
        name: One of `FORECAST_METRICS`; empty for the first.

    Raises:
        InvalidFieldError: There is no such metric.
    """
    name = name or FORECAST_METRICS[0]
    if name == MASE:
        return _mase(panel)
    fixed = {SMAPE: MeanMetric(SMAPE, VALUES, Needs.VALUES, _symmetric)}
    fixed |= {each.name: each for each in (RMSE, MAE, MAPE)}
    if name not in fixed:
        known = ", ".join(FORECAST_METRICS)
        raise InvalidFieldError(
            "metric", f"there is no metric {quoted(name)} of forecasts; take one of {known}."
        )
    return Judging(fixed[name], None)


def _mase(panel: Panel) -> Judging:
    """Returns the mean of the series' absolute errors, each in units of its scale.

    Series are weighed by that; what their mean weight takes away is given back.
    """
    weights = 1 / panel.scales()
    counts = np.array([(~np.isnan(each.values)).sum() for each in panel.series])
    mean = float((weights * counts).sum() / counts.sum())
    metric = MeanMetric(MASE, VALUES, Needs.VALUES, partial(_absolute, mean))
    return Judging(metric, weights)


def _absolute(factor: float, truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    return np.asarray(factor * np.abs(np.asarray(truth, np.float64) - outputs[:, 0]))


def _symmetric(truth: Truth, outputs: Outputs, _: RowValues | None) -> RowValues:
    came, told = np.asarray(truth, np.float64), outputs[:, 0]
    size = np.abs(came) + np.abs(told)
    off = 2 * np.abs(came - told)
    return np.asarray(off / np.where(size == 0, 1.0, size))


@dataclass(frozen=True)
class Window:
    """A part of the past that is forecast from what came before.

    Attributes:
        split: Rows of the problem.
        series: Positions of the series that are judged.
        ends: Of each series the first step that is not known, (series,).
    """

    split: Split
    series: Steps
    ends: Steps


def windows_of(problem: ForecastProblem, panel: Panel, most: int, seed: int) -> list[Window]:
    """Returns windows, the latest first; of many series each window has its own share.

    Args:
        problem: The panel's.
        panel: The series.
        most: So many windows at most; half as many of many series, which tell as much together.
        seed: Of which series are in which window.
    """
    lengths = np.array([len(each.values) for each in panel.series])
    reach = np.minimum(panel.horizon, np.maximum(lengths // 4, 1))
    spare = lengths - _least_known(panel, lengths)
    able = np.maximum(spare // reach, 1)
    if panel.series_count >= _MANY_SERIES:
        most //= 2
    count = int(np.clip(np.median(able), 1, most))
    size = _per_window(panel.series_count, count)
    order = np.random.default_rng(seed).permutation(panel.series_count)
    found = []
    for number in range(count):
        chosen = np.sort(np.take(order, np.arange(number * size, (number + 1) * size), mode="wrap"))
        found.append(_window(problem, panel, number, reach, np.unique(chosen), able))
    return [each for each in found if len(each.split.judged)]


def whole_of(problem: ForecastProblem, panel: Panel) -> Window:
    """Returns what the final model learns: everything; its judged rows tell nothing."""
    ends = np.array([each.start + len(each.values) for each in panel.series])
    steps = problem.features[STEP].to_numpy().astype(np.int64)
    places = problem.features[SERIES].to_numpy().astype(np.int64)
    last = np.flatnonzero(steps == ends[places] - 1)
    split = Split(np.arange(problem.row_count), last)
    return Window(split, np.arange(panel.series_count), ends)


def _least_known(panel: Panel, lengths: Steps) -> Steps:
    """Returns how much of each series is to be known before any window: seasons, or a half."""
    seasons = int(_LEAST_SEASONS * panel.season) + 1
    return np.where(
        lengths >= seasons + panel.horizon, seasons, np.maximum(lengths // 2, _LEAST_KNOWN)
    )


def _per_window(series: int, windows: int) -> int:
    return min(max(min(series, _FEW_SERIES), -(-series // windows)), _MOST_SERIES)


def _window(
    problem: ForecastProblem, panel: Panel, number: int, reach: Steps, series: Steps, able: Steps
) -> Window:
    starts = np.array([each.start for each in panel.series])
    lengths = np.array([len(each.values) for each in panel.series])
    stops = starts + lengths - number * reach
    ends = stops - reach
    steps = problem.features[STEP].to_numpy().astype(np.int64)
    places = problem.features[SERIES].to_numpy().astype(np.int64)
    is_judged = np.zeros(panel.series_count, bool)
    is_judged[series] = able[series] > number
    inside = (steps >= ends[places]) & (steps < stops[places]) & is_judged[places]
    # Series that are too short for the window are not known at all in it.
    enough = ends - starts >= _LEAST_KNOWN
    before = (steps < ends[places]) & enough[places]
    inside &= enough[places]
    split = Split(np.flatnonzero(before), np.flatnonzero(inside))
    return Window(split, np.flatnonzero(is_judged & enough), ends)

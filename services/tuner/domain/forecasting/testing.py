"""What a forecaster is worth on the steps that were put aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.models.estimators.forecasting.forecaster import Forecaster
from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History, error_scale
from common.models.estimators.forecasting.simple import seasonal_naive
from services.tuner.domain.forecasting.backtests import HIGH, LOW, Backtest
from services.tuner.domain.forecasting.growing import Check, continued
from services.tuner.domain.forecasting.judging import MASE, judging_of
from services.tuner.domain.forecasting.panel import Panel

_MOST_WINDOWS = 20
_MOST_BACKTESTS, _MOST_SHOWN = 60, 120


@dataclass(frozen=True, eq=False)
class ForecastTest:
    """Forecasts of steps that nothing was chosen by.

    Attributes:
        loss: Of the forecaster.
        floor_loss: Of the last season again and again.
        row_count: Values that were forecast.
        windows: How often a whole horizon was forecast, each time with all that was known by then.
        is_scaled: Whether errors by steps are in units of each series' scale: of several series.
        by_step: Mean absolute errors by steps ahead, (horizon,), NaN where nothing is known.
        floor_by_step: The same of the last season again and again.
        backtests: Some of the forecasts, to be shown.
    """

    loss: float
    floor_loss: float
    row_count: int
    windows: int
    is_scaled: bool
    by_step: Floats
    floor_by_step: Floats
    backtests: tuple[Backtest, ...]


class _OutOfTimeError(Exception):
    """A window takes too long."""


@dataclass(frozen=True, eq=False)
class _Told:
    """A window: what is known of it, (series, horizon).

    Attributes:
        places: Of the series.
        histories: What was known before.
        truth: NaN where it is not known.
        forecasts: What was said.
        floors: What the last season says.
    """

    places: npt.NDArray[np.int64]
    histories: Sequence[History]
    truth: Floats
    forecasts: Floats
    floors: Floats


def forecast_test(
    forecaster: Forecaster,
    whole: Panel,
    learned: Panel,
    metric: str,
    is_over: Callable[[], bool] = lambda: False,
) -> ForecastTest | None:
    """Returns what a forecaster says of the steps after those that it learned from.

    Window follows window, each with all values before it as its past; nothing is learned again.

    Args:
        forecaster: What was learned.
        whole: All values.
        learned: The same series without the steps that were put aside.
        metric: Name of what is measured.
        is_over: Asked between series whether there is no time left; may raise to stop. Windows
            that are not complete by then do not count.

    Returns:
        None where there is nothing to test on, or no time.
    """
    begins = _begins(whole, learned)
    told: list[_Told] = []

    def check() -> None:
        if is_over():
            raise _OutOfTimeError

    for window in range(_MOST_WINDOWS):
        places = _with_values(whole, begins, window)
        if not len(places):
            break
        try:
            told.append(_window(forecaster, whole, places, begins, window, check))
        except _OutOfTimeError:
            break
    return _summed(forecaster, whole, learned, metric, told) if told else None


def _begins(whole: Panel, learned: Panel) -> Mapping[int, int]:
    """Returns the first step that is tested of each series, by its position."""
    ends = {each.label: each.start + len(each.values) for each in learned.series}
    return {
        place: ends[each.label] for place, each in enumerate(whole.series) if each.label in ends
    }


def _with_values(whole: Panel, begins: Mapping[int, int], window: int) -> npt.NDArray[np.int64]:
    """Returns the series that have values in a window."""
    found = []
    for place, begin in begins.items():
        series, first = whole.series[place], begin + window * whole.horizon
        values = series.values[first - series.start :][: whole.horizon]
        if not np.isnan(values).all():
            found.append(place)
    return np.array(found, np.int64)


def _window(
    forecaster: Forecaster,
    whole: Panel,
    places: npt.NDArray[np.int64],
    begins: Mapping[int, int],
    window: int,
    check: Check,
) -> _Told:
    horizon = whole.horizon
    truth = np.full((len(places), horizon), np.nan)
    histories = []
    for row, place in enumerate(places.tolist()):
        series, end = whole.series[place], begins[place] + window * horizon
        histories.append(whole.history(place, end))
        values = series.values[end - series.start :][:horizon]
        truth[row, : len(values)] = values
    floors = [seasonal_naive(each.values, whole.season, horizon) for each in histories]
    forecasts = continued(forecaster, histories, check)
    return _Told(places, histories, truth, forecasts, np.stack(floors))


def _summed(
    forecaster: Forecaster, whole: Panel, learned: Panel, metric: str, told: Sequence[_Told]
) -> ForecastTest:
    truth = np.concatenate([each.truth for each in told])
    scales = _scales(whole, learned)
    own = np.array([scales[place] for each in told for place in each.places.tolist()])
    known = ~np.isnan(truth)

    def loss(forecasts: Floats) -> float:
        if metric == MASE:
            return float((np.abs(truth - forecasts) / own[:, None])[known].mean())
        found = judging_of(learned, metric).metric
        return float(found.loss(truth[known], forecasts[known].reshape(-1, 1)))

    forecasts = np.concatenate([each.forecasts for each in told])
    floors = np.concatenate([each.floors for each in told])
    is_scaled = whole.series_count > 1
    units = own[:, None] if is_scaled else 1.0
    return ForecastTest(
        loss=loss(forecasts),
        floor_loss=loss(floors),
        row_count=int(known.sum()),
        windows=len(told),
        is_scaled=is_scaled,
        by_step=_by_step((truth - forecasts) / units),
        floor_by_step=_by_step((truth - floors) / units),
        backtests=_backtests(forecaster, whole, told),
    )


def _scales(whole: Panel, learned: Panel) -> Mapping[int, float]:
    """Returns what errors are divided by, as the past that was learned from tells."""
    found = dict(zip(learned.labels, learned.scales().tolist(), strict=True))
    return {
        place: found[each.label] for place, each in enumerate(whole.series) if each.label in found
    }


def _by_step(errors: Floats) -> Floats:
    errors = np.abs(errors)
    known = ~np.isnan(errors)
    counts = known.sum(axis=0)
    sums = np.where(known, errors, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _backtests(forecaster: Forecaster, whole: Panel, told: Sequence[_Told]) -> tuple[Backtest, ...]:
    found = [
        _backtest(forecaster, whole, each, row, window)
        for window, each in enumerate(told)
        for row in range(min(len(each.places), _MOST_BACKTESTS))
    ]
    return tuple(found[:_MOST_BACKTESTS])


def _backtest(forecaster: Forecaster, whole: Panel, told: _Told, row: int, window: int) -> Backtest:
    history, forecasts = told.histories[row], told.forecasts[row]
    shown = history.values[-_MOST_SHOWN:]
    scale = np.array([error_scale(history.values, whole.season)])
    bounds = forecaster.intervals_.quantiles(forecasts[None], scale, (LOW, HIGH))[0]
    moments = whole.grid.moments(history.end + np.arange(-len(shown), whole.horizon))
    times = [str(each).removesuffix("T00:00:00.000000") for each in moments]
    return Backtest(
        series=whole.series[int(told.places[row])].title,
        window=window,
        times=times[len(shown) :],
        before=times[: len(shown)],
        history=shown,
        truth=told.truth[row],
        forecasts=forecasts,
        low=bounds[:, 0],
        high=bounds[:, 1],
    )

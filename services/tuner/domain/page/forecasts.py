"""Forecasts beside what came, and how errors grow with the steps ahead."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from common.reports.report import Part, Plot, Section, Table
from common.reports.text import number, plot_text
from common.reports.theme import INK, MUTED, SERIES
from services.tuner.domain.forecasting.backtests import Backtest
from services.tuner.domain.forecasting.testing import ForecastTest
from services.tuner.domain.page.words import counted

_MOST_SERIES, _MOST_WINDOWS = 4, 6
_HEIGHT = 360
_BAND_OPACITY = 0.25

Floats = npt.NDArray[np.float64]


def forecasts_of_series(backtests: Sequence[Backtest], test: ForecastTest | None) -> Section:
    """Returns what the model said of a few series, window by window, and what came.

    Args:
        backtests: Of windows that candidates were chosen by.
        test: Of the steps that were put aside; None where they are not known.
    """
    tested = test.backtests if test is not None else ()
    names = list(dict.fromkeys(each.series for each in (*tested, *backtests)))
    parts: list[Part] = []
    for name in _spread(names):
        own = [each for each in tested if each.series == name][:_MOST_WINDOWS]
        past = [each for each in backtests if each.series == name]
        parts.append(_plot(name, past[: _MOST_WINDOWS - len(own)], own))
    note = (
        "Each forecast knew only what lies before it. Between the bounds of the shade four of five "
        "values should lie, as errors of the past tell."
    )
    if len(names) > len(parts):
        note += f" These are {number(len(parts))} of {counted(len(names), 'series')[:-1]}."
    return Section("Forecasts and truth", parts or ["No window has a forecast."], note)


def error_by_step(backtests: Sequence[Backtest], test: ForecastTest | None) -> Section:
    """Returns how far off forecasts are by steps ahead.

    Args:
        backtests: All that there are, where there is no test.
        test: Of the steps that were put aside; None where they are not known.
    """
    title = "Error by step"
    unit = "mean error"
    if test is None:
        model, usual, where = _by_step(backtests), None, "windows of the past"
    else:
        model, usual, where = test.by_step, test.floor_by_step, "the steps put aside"
        unit += ", usual changes" if test.is_scaled else ""
    if not len(model) or np.isnan(model).all():
        return Section(title, ["Nothing is known of what came."])
    figure = go.Figure()
    steps = np.arange(1, len(model) + 1)
    figure.add_scatter(
        x=steps, y=_listed(model), mode="lines+markers", name="the model", line={"color": SERIES[0]}
    )
    if usual is not None:
        figure.add_scatter(
            x=steps,
            y=_listed(usual),
            mode="lines",
            name="the last season again",
            line={"color": MUTED, "dash": "dash"},
        )
    figure.update_layout(
        xaxis={"title": {"text": "steps ahead"}},
        yaxis={"title": {"text": unit}, "rangemode": "tozero"},
        height=_HEIGHT,
    )
    caption = f"By how much forecasts are off in the mean, by how far ahead they look: {where}."
    if unit != "mean error":
        caption += " Of each series in units of its mean change from season to season."
    first, last = _ends(model)
    seen = f"The mean error is {number(first)} one step ahead and {number(last)} at the last step."
    return Section(title, [Plot(figure, caption, seen)])


def _spread(names: Sequence[str]) -> list[str]:
    """Returns a few names from all over a list."""
    if len(names) <= _MOST_SERIES:
        return list(names)
    places = np.linspace(0, len(names) - 1, _MOST_SERIES).round().astype(int)
    return [names[place] for place in places.tolist()]


def _plot(name: str, past: Sequence[Backtest], tested: Sequence[Backtest]) -> Plot:
    figure = go.Figure()
    truth = _truth([*past, *tested])
    for windows, label, color in (
        (past, "chosen by", SERIES[1]),
        (tested, "put aside", SERIES[0]),
    ):
        for place, each in enumerate(windows):
            _add_window(figure, each, f"forecast, {label}", color, is_named=place == 0)
    figure.add_scatter(
        x=list(truth),
        y=list(truth.values()),
        mode="lines",
        name="what came",
        line={"color": INK, "width": 1.2},
    )
    figure.update_layout(height=_HEIGHT, yaxis={"title": {"text": plot_text(name, 40) or "value"}})
    called = f"the series {name}" if name else "the series"
    caption = (
        f"Forecasts of {called} and what came: {counted(len(past), 'window')} that candidates were "
        f"chosen by, {number(len(tested))} put aside from the start."
    )
    error = _mean_error([*past, *tested])
    seen = f"In the mean forecasts are off by {number(error)}." if np.isfinite(error) else caption
    return Plot(figure, caption, seen, _numbers(name, [*past, *tested]))


def _add_window(figure: go.Figure, each: Backtest, label: str, color: str, is_named: bool) -> None:
    times = list(each.times)
    figure.add_scatter(
        x=[*times, *reversed(times)],
        y=_listed(np.concatenate([each.high, each.low[::-1]])),
        mode="lines",
        fill="toself",
        fillcolor=color,
        line={"width": 0, "color": color},
        opacity=_BAND_OPACITY,
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=times,
        y=_listed(each.forecasts),
        mode="lines",
        name=label,
        legendgroup=label,
        showlegend=is_named,
        line={"color": color, "width": 2},
    )


def _truth(windows: Sequence[Backtest]) -> dict[str, float | None]:
    """Returns values by time, in order."""
    found: dict[str, float | None] = {}
    for each in windows:
        found |= dict(zip(each.before, _listed(each.history), strict=False))
    for each in windows:
        came = dict(zip(each.times, _listed(each.truth), strict=False))
        found |= {when: value for when, value in came.items() if value is not None}
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _order(when: str) -> tuple[float, str]:
    """Returns what times are sorted by: whole numbers by their size."""
    try:
        return float(when), ""
    except ValueError:
        return 0.0, when


def _numbers(name: str, windows: Sequence[Backtest]) -> Table:
    rows = [
        (when, came, told, low, high)
        for each in windows
        for when, came, told, low, high in zip(
            each.times,
            _listed(each.truth),
            _listed(each.forecasts),
            _listed(each.low),
            _listed(each.high),
            strict=False,
        )
    ]
    caption = f"Forecasts of {name or 'the series'}, and what came."
    return Table(
        ("Time", "What came", "Forecast", "One in ten below", "One in ten above"), rows, caption
    )


def _by_step(backtests: Sequence[Backtest]) -> Floats:
    longest = max((len(each.truth) for each in backtests), default=0)
    sums, counts = np.zeros(longest), np.zeros(longest)
    for each in backtests:
        errors = np.abs(each.truth - each.forecasts[: len(each.truth)])
        known = np.flatnonzero(~np.isnan(errors))
        sums[known] += errors[known]
        counts[known] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _mean_error(windows: Sequence[Backtest]) -> float:
    errors = [np.abs(each.truth - each.forecasts[: len(each.truth)]) for each in windows]
    whole = np.concatenate(errors) if errors else np.zeros(0)
    known = whole[~np.isnan(whole)]
    return float(known.mean()) if len(known) else np.nan


def _ends(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return float(known[0]), float(known[-1])


def _listed(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]

"""Plots of importance. What they hold does not grow with the data."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from common.reports.report import Cell, Plot, Table
from common.reports.text import number, plot_text
from common.reports.theme import INK, MUTED, SEQUENTIAL, SERIES
from services.analyzer.domain.importance.findings import SingleRow, Swarm
from services.analyzer.domain.importance.lags import SeriesImportance
from services.analyzer.domain.importance.texts import TextImportance

_BAR_HEIGHT = 26
_SWARM_HEIGHT = 34
_MARGIN = 110
_NAME = 32
_BINS = 40
_SPREAD = 0.38
_STEPS = 9

Numbers = npt.NDArray[np.float64]


def bars_plot(
    names: Sequence[str],
    values: Sequence[float],
    title: str,
    caption: str,
    intervals: Sequence[tuple[float, float]] | None = None,
) -> Plot:
    """Returns horizontal bars, the first on top.

    Args:
        names: What each is of.
        values: Their lengths.
        title: Of the axis.
        caption: What the plot shows.
        intervals: Ends of whiskers.
    """
    whiskers = None
    if intervals is not None:
        whiskers = {
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, (_, high) in zip(values, intervals, strict=True)],
            "arrayminus": [value - low for value, (low, _) in zip(values, intervals, strict=True)],
            "color": INK,
            "thickness": 1.2,
            "width": 4,
        }
    bar = go.Bar(
        x=list(values),
        y=list(range(len(names))),
        orientation="h",
        marker={"color": SERIES[0]},
        error_x=whiskers,
        hovertext=[
            f"{plot_text(name)}: {number(value)}" for name, value in zip(names, values, strict=True)
        ],
        hoverinfo="text",
    )
    figure = go.Figure([bar])
    _name_rows(figure, names, _BAR_HEIGHT)
    figure.update_layout(xaxis_title=title, showlegend=False)
    headings = ["Name", title] if intervals is None else ["Name", title, "From", "To"]
    ends = [()] * len(names) if intervals is None else intervals
    rows: list[list[Cell]] = [
        [name, value, *end] for name, value, end in zip(names, values, ends, strict=True)
    ]
    seen = f"Bars of {len(names)}; the longest is {names[0]} with {number(values[0])}."
    return Plot(figure, caption, seen, Table(headings, rows, caption))


def _name_rows(figure: go.Figure, names: Sequence[str], height: int) -> None:
    """Writes names at the rows of a plot; equal ones, once shortened, keep rows of their own."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[plot_text(name, _NAME) for name in names],
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_layout(height=_MARGIN + height * len(names))


def swarm_plot(swarm: Swarm, unit: str, towards: str, caption: str) -> Plot:
    """Returns a point for each row and column: how far its value moves the output.

    Args:
        swarm: The contributions.
        unit: What they are in; empty for the target's own.
        towards: What the output is of.
        caption: What the plot shows.
    """
    figure = go.Figure()
    heights = np.column_stack(
        [place + _spread(values) for place, values in enumerate(swarm.values.T)]
    )
    has_order = np.isfinite(swarm.levels)
    for chosen, name in ((has_order, "low to high"), (~has_order, "no order")):
        if chosen.any():
            figure.add_trace(_points(swarm, heights, chosen, name))
    figure.add_vline(0, line={"color": MUTED, "width": 1})
    _name_rows(figure, swarm.names, _SWARM_HEIGHT)
    measured = f" ({unit})" if unit else ""
    figure.update_layout(
        xaxis_title=f"contribution to {plot_text(towards, _NAME)}{measured}", showlegend=False
    )
    sizes = np.abs(swarm.values).mean(axis=0).tolist()
    rows: list[list[Cell]] = [
        [name, size, float(values.min()), float(values.max())]
        for name, size, values in zip(swarm.names, sizes, swarm.values.T, strict=True)
    ]
    table = Table(["Column", "Mean size", "Smallest", "Largest"], rows, caption)
    seen = (
        f"{len(swarm.values)} rows as points for each of {len(swarm.names)} columns; "
        f"{swarm.names[0]} moves the output most, by {number(sizes[0])} on average."
    )
    return Plot(figure, caption, seen, table)


def _points(swarm: Swarm, heights: Numbers, chosen: npt.NDArray[np.bool_], name: str) -> go.Scatter:
    marker: dict[str, object] = {"size": 5, "opacity": 0.8, "color": MUTED}
    if name != "no order":
        marker |= {
            "color": np.round(swarm.levels[chosen], 2),
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "title": {"text": "value", "side": "right"},
                "tickvals": [0, 1],
                "ticktext": ["low", "high"],
                "outlinewidth": 0,
                "thickness": 10,
            },
        }
    rows, columns = np.nonzero(chosen)
    return go.Scatter(
        x=[float(f"{each:.4g}") for each in swarm.values[chosen].tolist()],
        y=np.round(heights[chosen], 2),
        mode="markers",
        name=name,
        marker=marker,
        customdata=[
            plot_text(f"{swarm.names[column]} = {swarm.shown[row, column]}")
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ],
        hovertemplate="%{customdata}: %{x:+.4g}<extra></extra>",
    )


def _spread(values: Numbers) -> Numbers:
    """Returns how far points stand from the middle of their row: further where there are many."""
    if np.ptp(values) == 0:
        return np.zeros(len(values))
    counts, edges = np.histogram(values, _BINS)
    bins = np.clip(np.searchsorted(edges, values, "right") - 1, 0, _BINS - 1)
    jitter = np.random.default_rng(0).uniform(-1, 1, len(values))
    return np.asarray(_SPREAD * jitter * counts[bins] / counts.max())


def single_plot(single: SingleRow, unit: str) -> Plot:
    """Returns how the columns lead from what the model gives on average to a row's output."""
    ordered = sorted(single.contributions.items(), key=lambda each: -abs(each[1]))
    steps = [(f"{name} = {single.shown[name]}", value) for name, value in ordered[:_STEPS]]
    if ordered[_STEPS:]:
        rest = sum(value for _, value in ordered[_STEPS:])
        steps.append((f"{len(ordered) - _STEPS} other columns", rest))
    end = single.start + sum(single.contributions.values())
    names = ["on average", *(name for name, _ in steps), "this row"]
    waterfall = go.Waterfall(
        orientation="h",
        measure=["absolute", *["relative"] * len(steps), "total"],
        x=[single.start, *(value for _, value in steps), end],
        y=list(range(len(names))),
        increasing={"marker": {"color": SERIES[0]}},
        decreasing={"marker": {"color": SERIES[1]}},
        totals={"marker": {"color": MUTED}},
        connector={"line": {"color": MUTED, "width": 1}},
        hoverinfo="x",
    )
    figure = go.Figure([waterfall])
    _name_rows(figure, names, _BAR_HEIGHT)
    measured = f" ({unit})" if unit else ""
    output = f"{plot_text(single.output, _NAME)}{measured}"
    figure.update_layout(xaxis_title=output, showlegend=False)
    caption = (
        f"Row {single.row}, {single.why}: from what the model gives for {single.output}{measured} "
        "on average to what it gives here, column by column."
    )
    first, largest = ordered[0]
    seen = f"From {number(single.start)} to {number(end)}; {first} moves it by {number(largest)}."
    rows: list[list[Cell]] = [
        [name, value] for name, value in [("on average", single.start), *steps, ("sum", end)]
    ]
    return Plot(figure, caption, seen, Table(["Column", "Contribution"], rows, caption))


def lags_plot(series: SeriesImportance, metric: str) -> Plot:
    """Returns importance as a curve over the lags."""
    middles = [(each.first_lag + each.last_lag) / 2 for each in series.lags]
    labels = [plot_text(each.label, _NAME) for each in series.lags]
    figure = go.Figure(
        [
            go.Scatter(
                x=[*middles, *reversed(middles)],
                y=[*(each.high for each in series.lags), *(e.low for e in reversed(series.lags))],
                fill="toself",
                fillcolor=SERIES[0],
                opacity=0.25,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            ),
            go.Scatter(
                x=middles,
                y=[each.mean for each in series.lags],
                mode="lines+markers",
                line={"color": SERIES[0]},
                marker={"size": 5},
                customdata=labels,
                hovertemplate="%{customdata}: %{y:.4g}<extra></extra>",
                showlegend=False,
            ),
        ]
    )
    figure.update_layout(xaxis_title="lag", yaxis_title=f"loss of {metric}", height=320)
    largest = max(series.lags, key=lambda each: each.mean)
    blocks = any(each.last_lag > each.first_lag for each in series.lags)
    taken = " Neighbouring lags are permuted together." if blocks else ""
    caption = (
        f"{series.name}: how far {metric} falls when one lag is permuted, with its 95 % interval. "
        f"The peak is at {largest.label}.{taken}"
    )
    rows: list[list[Cell]] = [[each.label, each.mean, each.low, each.high] for each in series.lags]
    seen = f"A curve over {series.lag_count} lags with its peak at {largest.label}."
    return Plot(figure, caption, seen, Table(["Lag", "Loss", "From", "To"], rows, caption))


def tokens_plot(text: TextImportance, towards: str) -> Plot:
    """Returns the words with the largest mean effect."""
    shown = text.tokens[:20]
    caption = (
        f"{text.column}: what the output for {towards} loses on average when a word is left out, "
        f"over {text.row_count:,} rows. Words to the left of 0 speak against it."
    )
    return bars_plot(
        [f"{each.token} ({each.rows} rows)" for each in shown],
        [each.mean for each in shown],
        "mean effect",
        caption,
    )

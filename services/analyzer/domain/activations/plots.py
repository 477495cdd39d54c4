"""Plots of hidden layers. What they hold does not grow with the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from common.data.schema import Task
from common.reports.report import Plot
from common.reports.text import number, plot_text
from common.reports.theme import DIVERGING, MUTED, PAPER, SEQUENTIAL, SERIES
from services.analyzer.domain.activations.findings import (
    ClassMeans,
    LayerActivations,
    MapMethod,
    RepresentationMap,
    RowFacts,
)

_MOST_CLASSES = 9
_SYMBOLS = ("circle", "diamond")
_MOST_HISTOGRAMS = 12
_HISTOGRAM_COLUMNS = 3
_NAME = 28
_WIDE_RANGE = 50
_DEPTH = "layer, from the input on"
_BOXES_TOLD = (
    "Values of each layer, from the first to the last: the box holds the middle half of them, the "
    "whiskers nine tenths. Boxes that grow or shrink from layer to layer tell of a scale that is "
    "out of hand."
)
_SIZES_TOLD = (
    "Size of the values of each layer, from the first to the last. A line that climbs from layer "
    "to layer: values explode; one that sinks: they vanish."
)
_HIDDEN_AXIS = {"showticklabels": False, "zeroline": False, "ticks": "", "showgrid": False}
_MAP_TOLD = {
    MapMethod.TSNE: (
        "neighbours in it are neighbours here (t-SNE), while distances between groups tell little"
    ),
    MapMethod.PCA: "drawn are the two directions in which rows differ most",
}


def target_map(found: RepresentationMap, facts: RowFacts) -> Plot:
    """Returns the rows as points, coloured by class or target value."""
    what = "class" if facts.task is not Task.REGRESSION else "value"
    known = "predicted" if facts.truth is None or facts.task is Task.MULTI_LABEL else "true"
    caption = (
        f"The rows as the layer {found.layer} sees them, coloured by {known} {what}: "
        f"{_MAP_TOLD[found.method]}. Groups of one colour: the layer tells them apart."
    )
    if facts.task is Task.REGRESSION:
        traces = [_scale(found, facts, facts.target.astype(np.float64), f"{known} value")]
    else:
        traces = _classes(found, facts)
    return _map(traces, caption, f"{len(found.rows):,} rows as points, coloured by {known} {what}.")


def error_map(found: RepresentationMap, facts: RowFacts) -> Plot | None:
    """Returns the same points, coloured by error; None without truth."""
    error = facts.error
    if error is None:
        return None
    caption = (
        "The same rows, coloured by error. Errors among rows of one class are rows that look like "
        "another class to the model; errors between groups are rows that it is torn about."
    )
    if not facts.has_classes:
        label = "absolute error" if facts.task is Task.REGRESSION else "share of labels wrong"
        caption = "The same rows, coloured by error: bright places are where the model errs most."
        return _map([_scale(found, facts, error, label)], caption, f"Points coloured by {label}.")
    wrong = error > 0
    traces = [
        _points(found, facts, ~wrong, "right", {"color": MUTED, "size": 5, "opacity": 0.5}),
        _points(
            found,
            facts,
            wrong,
            "wrong",
            {"color": SERIES[1], "size": 8, "symbol": "diamond", "opacity": 0.9},
        ),
    ]
    return _map(traces, caption, f"{int(wrong.sum()):,} of {len(wrong):,} points are wrong.")


def spread_plot(layers: Sequence[LayerActivations]) -> Plot:
    """Returns the ranges of values by layer, or their sizes on a log scale if these differ much."""
    sizes = [max(abs(each.quantiles[1]), abs(each.quantiles[-2])) for each in layers]
    widest = max(layers, key=lambda each: each.max - each.min)
    seen = (
        f"{len(layers)} layers; the widest range, {number(widest.min)} to {number(widest.max)}, "
        f"has {widest.layer}."
    )
    if max(sizes) > _WIDE_RANGE * min(sizes) and min(sizes) > 0:
        return Plot(_sizes(layers), _SIZES_TOLD, seen)
    return Plot(_boxes(layers), _BOXES_TOLD, seen)


def _boxes(layers: Sequence[LayerActivations]) -> go.Figure:
    names = _names(layers)
    low, lower, first, middle, third, upper, high = zip(*(e.quantiles for e in layers), strict=True)
    figure = go.Figure(
        go.Box(
            x=names,
            lowerfence=lower,
            q1=first,
            median=middle,
            q3=third,
            upperfence=upper,
            marker={"color": SERIES[0]},
            name="values",
        )
    )
    extremes = {"mode": "markers", "marker": {"color": SERIES[1], "symbol": "line-ew-open"}}
    figure.add_scatter(x=[*names, *names], y=[*low, *high], name="least and most", **extremes)
    return figure.update_layout(xaxis_title=_DEPTH, yaxis_title="value")


def _sizes(layers: Sequence[LayerActivations]) -> go.Figure:
    names = _names(layers)
    figure = go.Figure()
    largest = [max(abs(each.min), abs(each.max)) for each in layers]
    for name, values in (
        ("standard deviation", [each.stddev for each in layers]),
        ("largest size of a value", largest),
    ):
        figure.add_scatter(x=names, y=values, name=name, mode="lines+markers")
    figure.update_yaxes(type="log", title="value (log scale)")
    return figure.update_layout(xaxis_title=_DEPTH)


def health_plot(layers: Sequence[LayerActivations]) -> Plot:
    """Returns shares of zeros, saturated values and dead units by layer."""
    names = _names(layers)
    kinds: dict[str, list[float | None]] = {
        "zeros": [each.zero_share for each in layers],
        "near a bound": [each.saturated_share for each in layers],
        "dead units": [each.dead_unit_count / each.unit_count for each in layers],
    }
    figure = go.Figure()
    for (kind, shares), color in zip(kinds.items(), SERIES, strict=False):
        if any(shares):
            figure.add_bar(x=names, y=shares, name=kind, marker={"color": color})
    figure.update_layout(
        barmode="group",
        xaxis_title=_DEPTH,
        yaxis={"title": "share", "tickformat": ".0%", "rangemode": "tozero"},
    )
    caption = (
        "What is off in each layer: values that are exactly 0, values near a bound of tanh or "
        "sigmoid (no gradient there), and units that no row makes active. Zeros are what a "
        "rectifier is for; dead units are wasted."
    )
    dead = sum(each.dead_unit_count for each in layers)
    return Plot(figure, caption, f"Bars by layer; {dead:,} units are dead in all.")


def depth_plot(layers: Sequence[LayerActivations], chance: float, facts: RowFacts) -> Plot | None:
    """Returns how well rows are told apart along the depth; None where that is not known."""
    found = [(each, each.neighbour_agreement) for each in layers]
    known = [(layer, share) for layer, share in found if share is not None]
    if len(known) < 2:
        return None
    is_value = facts.task is Task.REGRESSION
    label = "variance that neighbours explain" if is_value else "neighbours of the same class"
    names = _names([layer for layer, _ in known])
    figure = go.Figure(
        go.Scatter(
            x=names,
            y=[share for _, share in known],
            mode="lines+markers",
            marker={"size": 9},
            name=label,
        )
    )
    if not is_value:
        figure.add_scatter(
            x=[names[0], names[-1]],
            y=[chance, chance],
            mode="lines",
            line={"color": MUTED, "dash": "dash"},
            name="by chance",
        )
    figure.update_layout(
        xaxis_title=_DEPTH,
        yaxis={"title": "share", "tickformat": ".0%", "range": [0, 1.02]},
    )
    caption = (
        f"Where the model works out its answer: share of {label}, by layer (of the 10 nearest "
        "rows). A line that rises to the end: each layer adds something. A flat end: the last "
        "layers add little."
    )
    first, last = known[0][1], known[-1][1]
    return Plot(figure, caption, f"A line from {first:.0%} in the first layer to {last:.0%}.")


def histogram_plot(layers: Sequence[LayerActivations]) -> Plot:
    """Returns the distribution of each layer's values as small histograms."""
    places = np.linspace(0, len(layers) - 1, min(len(layers), _MOST_HISTOGRAMS)).round()
    shown = [layers[int(place)] for place in places]
    columns = min(_HISTOGRAM_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[f"{plot_text(e.layer, _NAME)} ({e.zero_share:.0%} zero)" for e in shown],
        vertical_spacing=0.28 / rows,
    )
    for place, layer in enumerate(shown):
        figure.add_trace(_histogram(layer), row=place // columns + 1, col=place % columns + 1)
    figure.update_layout(showlegend=False, bargap=0, height=170 * rows + 60)
    figure.update_annotations(font_size=11)
    figure.update_yaxes(showticklabels=False, rangemode="tozero")
    caption = (
        "How the values of each layer are spread; exact zeros are left out, the titles count them."
    )
    return Plot(figure, caption, f"{len(shown)} small histograms, one for each layer.")


def class_means_plot(found: ClassMeans) -> Plot:
    """Returns which units answer to which class."""
    units = [f"unit {unit}" for unit in found.units]
    most = float(np.abs(found.means).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=np.round(found.means, 2),
            x=[plot_text(each, 24) for each in found.classes],
            y=units,
            colorscale=DIVERGING,
            reversescale=True,
            zmin=-most,
            zmax=most,
            colorbar={"title": "mean", "outlinewidth": 0},
            hovertemplate="%{y}, %{x}: %{z:.2f} standard deviations<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"type": "category", "title": "class"},
        yaxis={"type": "category", "autorange": "reversed"},
        height=160 + 14 * len(units),
    )
    caption = (
        f"Which units of {found.layer} answer to which class: means by class, in standard "
        "deviations of the unit. A column without dark red is a class that no unit stands for."
    )
    return Plot(figure, caption, f"{len(units)} units by {len(found.classes)} classes.")


def _names(layers: Sequence[LayerActivations]) -> list[str]:
    return [plot_text(each.layer, _NAME) for each in layers]


def _histogram(layer: LayerActivations) -> go.Bar:
    found = layer.histogram
    edges = np.linspace(found.low, found.high, len(found.counts) + 1)
    counts = np.array(found.counts, float)
    if layer.zero_share > 0:  # the sample's zeros are in one bin, and would hide the others
        place = int(np.clip(np.searchsorted(edges, 0, "right") - 1, 0, len(counts) - 1))
        counts[place] = max(0.0, counts[place] - layer.zero_share * counts.sum())
    return go.Bar(
        x=np.round((edges[:-1] + edges[1:]) / 2, 6),
        y=np.round(counts / max(counts.sum(), 1), 4),
        marker={"color": SERIES[0], "line": {"width": 0}},
        hovertemplate="about %{x:.3g}: %{y:.1%}<extra></extra>",
    )


def _map(traces: Sequence[go.Scatter], caption: str, seen: str) -> Plot:
    figure = go.Figure(traces)
    figure.update_layout(
        height=520,
        xaxis=_HIDDEN_AXIS,
        yaxis=_HIDDEN_AXIS,
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
    )
    return Plot(figure, caption, seen)


def _classes(found: RepresentationMap, facts: RowFacts) -> list[go.Scatter]:
    """Returns a trace for each of the most frequent classes, and one for the others."""
    target = facts.target
    known, counts = np.unique(target, return_counts=True)
    frequent = np.sort(known[np.argsort(-counts, kind="stable")[:_MOST_CLASSES]])
    if len(known) == _MOST_CLASSES + 1:
        frequent = known
    traces = [
        _points(
            found,
            facts,
            target == each,
            plot_text(facts.named(each), 24),
            {
                "color": SERIES[place % len(SERIES)],
                "symbol": _SYMBOLS[place // len(SERIES)],
                "size": 7,
                "opacity": 0.8,
            },
        )
        for place, each in enumerate(frequent)
    ]
    others = ~np.isin(target, frequent)
    if others.any():
        look = {"color": MUTED, "size": 5, "opacity": 0.5}
        traces.insert(0, _points(found, facts, others, "other classes", look))
    return traces


def _scale(
    found: RepresentationMap, facts: RowFacts, values: npt.NDArray[np.float64], label: str
) -> go.Scatter:
    low, high = np.quantile(values, (0.02, 0.98)).tolist()
    marker = {
        "color": [float(f"{each:.4g}") for each in values],
        "colorscale": SEQUENTIAL,
        "cmin": low,
        "cmax": high if high > low else low + 1,
        "colorbar": {"title": label, "outlinewidth": 0},
        "size": 7,
        "line": {"color": PAPER, "width": 0.5},
    }
    return _points(found, facts, np.ones(len(values), bool), label, marker)


def _points(
    found: RepresentationMap,
    facts: RowFacts,
    chosen: npt.NDArray[np.bool_],
    name: str,
    marker: dict[str, Any],
) -> go.Scatter:
    return go.Scatter(
        x=np.array(found.x)[chosen],
        y=np.array(found.y)[chosen],
        mode="markers",
        name=name,
        marker=marker,
        hovertext=_hover(facts, chosen),
        hoverinfo="text",
    )


def _hover(facts: RowFacts, chosen: npt.NDArray[np.bool_]) -> list[str]:
    """Returns what is told of each point: row, prediction, truth."""
    told = []
    for place in np.flatnonzero(chosen):
        text = f"row {facts.numbers[place]}<br>predicted {_named(facts, facts.predicted[place])}"
        if facts.truth is not None and facts.task is not Task.MULTI_LABEL:
            text += f"<br>truly {_named(facts, facts.target[place])}"
        told.append(text)
    return told


def _named(facts: RowFacts, value: float) -> str:
    return plot_text(facts.named(value), 24)

"""Plots of weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from common.reports.report import Cell, Plot, Table
from common.reports.text import number, plot_text
from common.reports.theme import SERIES
from services.analyzer.domain.structure.bars import Bars, bars_plot, short_name
from services.analyzer.domain.weights.findings import (
    MATRICES,
    TreeWeights,
    WeightKind,
    WeightsFindings,
    WeightTensor,
)

_MOST_ROWS = 40
_MOST_BARS = 25
_GRID = np.linspace(-4, 4, 42)
_STRIPS = 20
_SPREAD = 30
_ROW_HEIGHT, _REST = 22, 130

Floats = npt.NDArray[np.float64]


def distributions_plot(tensors: Sequence[WeightTensor]) -> Plot | None:
    """Returns a row for each tensor: how its values are distributed, in its own usual size."""
    drawn = _drawn([each for each in tensors if each.histogram and each.root_mean_square])
    if not drawn:
        return None
    shares = np.array([_rebinned(each) for each in drawn])
    heights = shares / np.maximum(shares.max(axis=1, keepdims=True), 1e-9)
    names = [each.name for each in drawn]
    figure = go.Figure(
        go.Heatmap(
            x=(_GRID[:-1] + _GRID[1:]) / 2,
            y=list(range(len(names))),
            z=np.round(heights, 4),
            customdata=np.round(100 * shares, 3),
            hovertext=[[plot_text(name)] * shares.shape[1] for name in names],
            hovertemplate="%{hovertext}<br>at %{x:.2g}: %{customdata} % of it<extra></extra>",
            showscale=False,
        )
    )
    figure.update_layout(
        height=_REST + _ROW_HEIGHT * len(names),
        xaxis_title="value in root mean squares of the tensor",
    )
    _name_rows(figure, names)
    caption = (
        "How the values of each tensor are distributed: each row is a histogram, brightest where "
        "most of its values are. A wide band around 0 is usual; a thin stripe at 0 is a tensor of "
        "zeros but for a few large weights."
    )
    seen = f"A row for each of {len(names)} tensors with its histogram as colours."
    rows: list[list[Cell]] = [
        [each.name, each.mean, each.stddev, each.min, each.max, _percent(each.near_zero_share)]
        for each in drawn
    ]
    heads = ["Tensor", "Mean", "Standard deviation", "Smallest", "Largest", "Near zero (%)"]
    return Plot(figure, caption, seen, Table(heads, rows, "Distribution of values by tensor."))


def _drawn(tensors: Sequence[WeightTensor]) -> list[WeightTensor]:
    """Returns as many as can be read: matrices alone where there are several, the largest."""
    matrices = [each for each in tensors if each.kind in MATRICES]
    tensors = matrices if len(matrices) > 1 else tensors
    order = sorted(tensors, key=lambda each: -each.count)
    chosen = {each.name for each in order[:_MOST_ROWS]}
    return [each for each in tensors if each.name in chosen]


def _rebinned(tensor: WeightTensor) -> Floats:
    """Returns the shares of the values in the bins of a common grid, in root mean squares."""
    histogram = tensor.histogram
    assert histogram is not None
    usual = tensor.root_mean_square or 1.0
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1) / usual
    below = np.concatenate(([0.0], np.cumsum(histogram.counts)))
    return np.asarray(np.diff(np.interp(_GRID, edges, below)) / max(1.0, below[-1]))


def sizes_plot(tensors: Sequence[WeightTensor]) -> Plot | None:
    """Returns the usual and the largest size of weights from the first layer to the last."""
    drawn = _drawn([each for each in _weights(tensors) if each.root_mean_square])
    if len(drawn) < 2:
        return None
    places = list(range(len(drawn)))
    largest = [max(abs(each.min or 0), abs(each.max or 0)) for each in drawn]
    usual = [each.root_mean_square or 0.0 for each in drawn]
    figure = go.Figure()
    lines = (("largest", largest, "diamond"), ("root mean square", usual, "circle"))
    for place, (name, values, symbol) in enumerate(lines):
        figure.add_scatter(
            x=values,
            y=places,
            name=name,
            mode="lines+markers",
            line={"color": SERIES[place], "width": 1},
            marker={"color": SERIES[place], "symbol": symbol, "size": 8},
            hovertext=[plot_text(each.name) for each in drawn],
            hovertemplate="%{hovertext}: %{x:.4g}<extra>" + name + "</extra>",
        )
    figure.update_layout(height=_REST + _ROW_HEIGHT * len(drawn))
    figure.update_xaxes(type="log", title="absolute value (log scale)")
    _name_rows(figure, [each.name for each in drawn])
    caption = (
        "How large weights are, from the first layer on top to the last. Layers whose weights are "
        "many times as large as those of the others explode; those that are as many times smaller "
        "vanish."
    )
    seen = (
        f"Two lines over {len(drawn)} tensors; root mean squares from {number(min(usual))} to "
        f"{number(max(usual))}."
    )
    rows: list[list[Cell]] = [
        [each.name, each.root_mean_square, most] for each, most in zip(drawn, largest, strict=True)
    ]
    heads = ["Tensor", "Root mean square", "Largest"]
    return Plot(figure, caption, seen, Table(heads, rows, caption))


def _weights(tensors: Sequence[WeightTensor]) -> list[WeightTensor]:
    kinds = MATRICES | {WeightKind.UNSPECIFIED}
    return [each for each in tensors if each.kind in kinds]


def ranks_plot(tensors: Sequence[WeightTensor]) -> Plot | None:
    """Returns the part of its directions that each matrix uses."""
    drawn = _drawn([each for each in tensors if each.spectrum and each.spectrum.full_rank > 1])
    if not drawn:
        return None
    spectra = [each.spectrum for each in drawn if each.spectrum is not None]
    return bars_plot(
        Bars(
            names=[each.name for each in drawn],
            values=[100 * each.effective_rank / each.full_rank for each in spectra],
            axis="effective rank (% of the largest possible)",
            caption=(
                "In how many directions each matrix works (effective rank), from the first on top "
                "to the last. Short bars are layers that could be narrower, or be split into two "
                "thin matrices."
            ),
            texts=[f"{each.effective_rank:.3g} of {each.full_rank:,}" for each in spectra],
        )
    )


def sensitivity_plot(findings: WeightsFindings) -> Plot | None:
    """Returns how much the outputs change when each layer is disturbed, the most on top."""
    method = findings.summary.sensitivity_method
    known = [(each, each.sensitivity) for each in findings.summary.tensors if each.sensitivity]
    if not known or method is None:
        return None
    order = sorted(known, key=lambda pair: -pair[1].output_change)[:_MOST_BARS]
    times = "once" if method.repeats == 1 else f"{method.repeats} times"
    caption = (
        f"What each layer matters, the most on top: mean change of the outputs for "
        f"{method.row_count:,} rows when the weights of that layer alone get noise of "
        f"{100 * method.relative_noise:.0f} % of their size, {times} each."
    )
    plot = bars_plot(
        Bars(
            [each.name for each, _ in order],
            [found.output_change for _, found in order],
            "mean change of the outputs",
            caption,
        )
    )
    rows: list[list[Cell]] = [
        [each.name, found.output_change, found.metric_fall] for each, found in order
    ]
    heads = ["Tensor", "Mean change of the outputs", f"Fall of {method.metric}"]
    return Plot(plot.figure, caption, plot.description, Table(heads, rows, caption))


def splits_plot(trees: TreeWeights) -> Plot:
    """Returns how often trees split on columns."""
    return bars_plot(
        Bars(
            [each.column for each in trees.splits[:_MOST_BARS]],
            [each.count for each in trees.splits[:_MOST_BARS]],
            "nodes that split on the column",
            "How often the trees split on each column, the most on top. It says what the trees "
            "look at, not how much that matters.",
        )
    )


def depths_plot(trees: TreeWeights) -> Plot:
    """Returns how deep trees are."""
    depths = list(range(len(trees.depths)))
    figure = go.Figure(go.Bar(x=depths, y=list(trees.depths), marker={"color": SERIES[0]}))
    figure.update_layout(height=320, xaxis={"title": "depth", "dtick": max(1, len(depths) // 12)})
    figure.update_yaxes(title="trees")
    seen = f"Bars of {trees.tree_count:,} trees by depth, up to {depths[-1]}."
    rows: list[list[Cell]] = [
        [depth, count] for depth, count in zip(depths, trees.depths, strict=True) if count
    ]
    caption = "How deep the trees are."
    return Plot(figure, caption, seen, Table(["Depth", "Trees"], rows, caption))


def thresholds_plot(findings: WeightsFindings) -> Plot | None:
    """Returns where along its range each column is split."""
    trees = findings.summary.trees
    names = [each.column for each in trees.splits] if trees else []
    drawn = [name for name in names if len(findings.thresholds.get(name, ())) > 1][:_STRIPS]
    if not drawn or trees is None:
        return None
    strips = [_strip(findings.thresholds[name]) for name in drawn]
    figure = go.Figure(
        go.Heatmap(
            x=list(range(_SPREAD)),
            y=list(range(len(drawn))),
            z=[np.round(100 * strip, 2) for strip in strips],
            hovertext=[[plot_text(name)] * (_SPREAD) for name in drawn],
            hovertemplate="%{hovertext}: %{z:.3g} % of its thresholds<extra></extra>",
            colorbar={"title": "%", "outlinewidth": 0},
        )
    )
    ends = {"tickvals": [0, _SPREAD - 1], "ticktext": ["lowest", "highest"]}
    figure.update_layout(height=_REST + _ROW_HEIGHT * len(drawn), xaxis=ends)
    _name_rows(figure, drawn)
    caption = (
        "Where the trees split each column, from its lowest threshold to its highest: bright is "
        "where many splits are, and the output changes most often."
    )
    rows: list[list[Cell]] = [
        [each.column, each.count, each.lowest, each.median, each.highest] for each in trees.splits
    ]
    heads = ["Column", "Splits", "Lowest threshold", "Median", "Highest"]
    seen = f"A row for each of {len(drawn)} columns with the histogram of its thresholds."
    return Plot(figure, caption, seen, Table(heads, rows, "Thresholds by column."))


def _strip(thresholds: Sequence[float]) -> Floats:
    counts, _ = np.histogram(thresholds, _SPREAD)
    return np.asarray(counts / counts.sum())


def _name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[short_name(name) for name in names],
        range=[len(names) - 0.5, -0.5],
        fixedrange=True,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share

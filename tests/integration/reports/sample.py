"""A report with parts of all kinds."""

from itertools import pairwise

import numpy as np
from plotly import graph_objects as go

from common.reports.graph import GraphNode, graph_plot
from common.reports.report import (
    Bar,
    Bars,
    Cell,
    Gallery,
    Notice,
    Picture,
    Plot,
    Report,
    Section,
    Severity,
    Table,
)
from common.reports.theme import SERIES

POINTS = 1500
BLOCKS = 12


def sample_report() -> Report:
    """Returns the report."""
    sections = [
        Section("Plots", ["Each with its numbers."], subsections=_plots()),
        Section("Tables and pictures", [_table(), _picture(), _gallery()]),
        Section("The network", [_network()], note="Traced: the model has no specification."),
        Section("Findings", ["More of what was found.", *_notices()]),
    ]
    facts: dict[str, str | int | float] = {
        "Model": "models/iris/versions/3",
        "Parameters": 1_234_567,
        "Accuracy": 0.93512,
        "Seconds": 12,
    }
    return Report("Analysis of a model", facts, sections, [_SUMMARY, *_notices()])


_SUMMARY = (
    "The model is right in 94 of 100 rows it has not seen. It is best at setosa, and it takes "
    "virginica for versicolor more often than the other way round."
)


def _notices() -> list[Notice]:
    told = "What that means for those who use the model, in a sentence or two that say how much."
    return [
        Notice(Severity.PROBLEM, "One class is never predicted", told, "Give it more rows."),
        Notice(Severity.WARNING, "Too sure of itself", told, "Calibrate it on held-out rows."),
        Notice(Severity.NOTE, "A column hardly matters", told),
        Notice(Severity.GOOD, "No sign of overfitting", told),
    ]


def _plots() -> list[Section]:
    generator = np.random.default_rng(0)
    scatter = go.Figure()
    for name, color in zip(("left", "right"), SERIES, strict=False):
        x, y = generator.normal(size=(2, POINTS // 2)).round(3)
        scatter.add_scatter(
            x=x, y=y, name=name, mode="markers", marker={"color": color, "opacity": 0.6}
        )
    scatter.update_layout(xaxis_title="first direction", yaxis_title="second direction")
    bars = go.Figure(go.Bar(x=["a &lt; b", "=1+1", "c, d"], y=[3.0, 1.25, None], name="counts"))
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    heat = go.Figure(
        go.Heatmap(x=["p", "q", "r"], y=["s", "t"], z=grid, colorbar={"title": {"text": "share"}})
    )
    spread = go.Figure(
        [
            go.Box(y=generator.normal(size=20), name="box"),
            go.Violin(y=generator.normal(size=20), name="violin"),
        ]
    )
    values = go.Figure(go.Histogram(x=generator.normal(size=200)))
    pie = go.Figure(go.Pie(labels=["yes", "no"], values=[3, 5]))
    return [
        Section("Points", [Plot(scatter, "Two clouds of points", "Two clouds")]),
        Section("Bars", [Plot(bars, "Counts: three of them", "Three bars")]),
        Section("Heat", [Plot(heat, "Confusion", "Six cells")]),
        Section("Spread", [Plot(spread, "Spread", "A box and a violin")]),
        Section("Values", [Plot(values, "Values", "A histogram")]),
        Section("Shares", [Plot(pie, "Shares", "Yes has 3 of 8")]),
    ]


def _table() -> Table:
    bars = Bars((Bar("length", 0.9, "0.9", "9.5, usually 1.2"), Bar("width", 0.3, "0.3")))
    rows: list[list[Cell]] = [["first", 10, 0.25, bars], ["second", 9, None, None]]
    return Table(["Name", "Rows", "Share", "Why"], rows, "A table with bars.")


def _picture() -> Picture:
    ramp = np.linspace(0, 255, 28).astype(np.uint8)
    return Picture.of(np.add.outer(ramp // 2, ramp // 2), "A ramp of grey", "Dark to light")


def _gallery() -> Gallery:
    generator = np.random.default_rng(1)
    pictures = [
        Picture.of(generator.integers(0, 256, (12, 12, 3), np.uint8), f"layer {i}, filter {i}", "")
        for i in range(9)
    ]
    return Gallery(pictures, "What nine filters answer to")


def _network() -> Plot:
    """A network of residual blocks."""
    nodes, edges, last = [GraphNode("input", "input", "3 x 224 x 224", 0)], [], "input"
    for block in range(BLOCKS):
        names = [f"block{block}.{part}" for part in ("convolution1", "relu", "convolution2", "add")]
        nodes += [GraphNode(name, name, f"{block + 1} thousand\n<b>", block + 1) for name in names]
        edges += [(last, names[0]), (last, names[3])]
        edges += list(pairwise(names))
        last = names[3]
    heads = ["classes", "boxes", "masks"]
    nodes += [GraphNode(head, f"head of {head}", "linear") for head in heads]
    edges += [(last, head) for head in heads]
    return graph_plot(nodes, edges, "The network's layers", "A chain of twelve residual blocks")

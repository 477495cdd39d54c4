"""Drawings of directed graphs without cycles, such as the layers of a network."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from plotly import graph_objects as go

from common.reports.layering import Layering, layered
from common.reports.report import Cell, Plot, Table
from common.reports.text import plot_text, shortened
from common.reports.theme import INK, MUTED, PAPER, SERIES

_LAYER_HEIGHT = 48
_USUAL_SIZE = 13.0
_SIZES = (8.0, 30.0)
_CHARACTERS = 64  # what fits into the drawing's width, between a phone's and a screen's
_FEWEST = 4
_MOST_LINES = 12
_HIDDEN = {"visible": False, "fixedrange": True}


@dataclass(frozen=True)
class GraphNode:
    """A node of a graph.

    Attributes:
        id: Unique in its graph.
        label: What stands beside it, cut where there is no room.
        hint: What a reader is told who points at it; lines are separated by newlines.
        weight: What its size stands for, at least 0; None for the usual size.
    """

    id: str
    label: str
    hint: str = ""
    weight: float | None = None


def graph_plot(
    nodes: Sequence[GraphNode], edges: Sequence[tuple[str, str]], caption: str, description: str
) -> Plot:
    """Returns a drawing in layers: each edge leads downwards, from its first node to its second.

    It is as high as the longest path needs; the page shows a high one in a box that scrolls. Up to
    some 400 nodes can be read. The numbers are a table of the nodes.

    Args:
        nodes: At least one; those of a layer stand in this order unless edges would cross.
        edges: Pairs of ids.
        caption: What the graph shows.
        description: What there is to see, for those who cannot see it.

    Raises:
        ValueError: An id is not unique or unknown, or the edges form a cycle.
    """
    layering = _layering(nodes, edges)
    left, right = _bounds(layering)
    figure = go.Figure([_edges(layering), _nodes(nodes, layering, _labels(nodes, layering))])
    figure.update_layout(
        height=_LAYER_HEIGHT * (len(layering.widths) + 1),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        dragmode=False,
        showlegend=False,
        xaxis={**_HIDDEN, "range": [left, right]},
        yaxis={**_HIDDEN, "range": [len(layering.widths) - 0.5, -0.5]},
    )
    return Plot(figure, caption, description, _table(nodes))


def _bounds(layering: Layering) -> tuple[float, float]:
    """Returns the columns that the drawing goes from and to: edges that pass are in it, too."""
    columns = [column for way in layering.ways.values() for column, _ in way]
    columns += layering.columns.values()
    return min(columns) - 0.5, max(columns) + 1


def _layering(nodes: Sequence[GraphNode], edges: Sequence[tuple[str, str]]) -> Layering:
    ids = [node.id for node in nodes]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError("a graph needs nodes, each with an id of its own")
    return layered(ids, edges)


def _edges(layering: Layering) -> go.Scatter:
    """Returns all edges as one line with gaps."""
    points = [point for way in layering.ways.values() for point in (*way, (None, None))]
    return go.Scatter(
        x=[column for column, _ in points],
        y=[layer for _, layer in points],
        mode="lines",
        line={"color": MUTED, "width": 1.2},
        hoverinfo="skip",
    )


def _nodes(nodes: Sequence[GraphNode], layering: Layering, labels: Mapping[str, str]) -> go.Scatter:
    return go.Scatter(
        x=[layering.columns[node.id] for node in nodes],
        y=[layering.layers[node.id] for node in nodes],
        mode="markers+text",
        marker={
            "color": SERIES[0],
            "size": _node_sizes(nodes),
            "opacity": 1,
            "line": {"color": PAPER, "width": 1.5},
        },
        text=[labels[node.id] for node in nodes],
        textposition="middle right",
        textfont={"color": INK, "size": 12},
        hovertext=[_hover(node) for node in nodes],
        hoverinfo="text",
        cliponaxis=False,
    )


def _node_sizes(nodes: Sequence[GraphNode]) -> list[float]:
    """Returns diameters: areas grow with weights."""
    largest = max((node.weight or 0 for node in nodes), default=0) or 1
    low, high = _SIZES
    return [
        _USUAL_SIZE
        if node.weight is None
        else low + (high - low) * math.sqrt(node.weight / largest)
        for node in nodes
    ]


def _labels(nodes: Sequence[GraphNode], layering: Layering) -> dict[str, str]:
    """Returns labels as long as there is room up to the next node on the right."""
    left, right = _bounds(layering)
    share = _CHARACTERS / (right - left)
    fitting = {node: int(share * room) for node, room in _rooms(layering, right)}
    return {
        node.id: plot_text(node.label, fitting[node.id]) if fitting[node.id] >= _FEWEST else ""
        for node in nodes
    }


def _rooms(layering: Layering, right: float) -> Iterator[tuple[str, float]]:
    """Yields nodes with the columns that are free beside them."""
    places = sorted(
        (layering.layers[node], column, node) for node, column in layering.columns.items()
    )
    for _, layer in groupby(places, lambda place: place[0]):
        row = [(column, node) for _, column, node in layer]
        for (column, node), (following, _) in pairwise([*row, (right, "")]):
            yield node, following - column


def _hover(node: GraphNode) -> str:
    lines = [line for line in node.hint.split("\n") if line.strip()][:_MOST_LINES]
    return "<br>".join([f"<b>{plot_text(node.label)}</b>", *map(plot_text, lines)])


def _table(nodes: Sequence[GraphNode]) -> Table:
    weighed = any(node.weight is not None for node in nodes)
    columns = ["Node", "What it is", *(["Weight"] if weighed else [])]
    rows: list[list[Cell]] = [
        [node.label, shortened(node.hint, 500), *([node.weight] if weighed else [])]
        for node in nodes
    ]
    return Table(columns, rows, "The nodes of the graph.")

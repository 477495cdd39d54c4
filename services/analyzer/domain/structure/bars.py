"""Bars of layers, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly import graph_objects as go

from common.reports.report import Cell, Plot, Table
from common.reports.text import number, plot_text
from common.reports.theme import SERIES

_LABEL = 32
_HEAD, _EACH = 100, 24


@dataclass(frozen=True)
class Bars:
    """What bars show.

    Attributes:
        names: Of the layers, from top to bottom.
        values: Lengths of the bars.
        axis: What they are, with the unit.
        caption: See `Plot`.
        texts: What stands at the bars; by default the values.
    """

    names: Sequence[str]
    values: Sequence[float]
    axis: str
    caption: str
    texts: Sequence[str] | None = None


def bars_plot(bars: Bars) -> Plot:
    """Returns a plot of bars; labels of layers are cut on the left, where they are alike."""
    places = list(range(len(bars.names)))
    figure = go.Figure(
        go.Bar(
            x=list(bars.values),
            y=places,
            orientation="h",
            marker={"color": SERIES[0]},
            text=bars.texts or [number(value) for value in bars.values],
            textposition="auto",
            textangle=0,
            hovertext=[plot_text(name) for name in bars.names],
            hovertemplate=f"%{{hovertext}}: %{{x:.4g}}<extra>{bars.axis}</extra>",
        )
    )
    figure.update_layout(height=_HEAD + _EACH * len(places), xaxis_title=bars.axis)
    figure.update_yaxes(
        tickvals=places,
        ticktext=[short_name(name) for name in bars.names],
        range=[len(places) - 0.5, -0.5],
        fixedrange=True,
    )
    rows: list[list[Cell]] = [
        [name, value] for name, value in zip(bars.names, bars.values, strict=True)
    ]
    return Plot(figure, bars.caption, _seen(bars), Table(["Layer", bars.axis], rows, bars.caption))


def short_name(name: str, most: int = _LABEL) -> str:
    """Returns the end of a name that is long: names of layers differ there."""
    return plot_text(name if len(name) <= most else f"…{name[1 - most :]}", most)


def _seen(bars: Bars) -> str:
    longest = max(range(len(bars.values)), key=lambda place: bars.values[place])
    return (
        f"{len(bars.names)} bars; the longest is {bars.names[longest]} with "
        f"{number(float(bars.values[longest]))}."
    )

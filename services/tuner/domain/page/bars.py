"""Bars, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import plot_text
from common.reports.theme import SERIES

_LABEL = 36
_HEAD, _EACH = 90, 30


@dataclass(frozen=True)
class Series:
    """What one colour stands for.

    Attributes:
        name: In the legend.
        values: One for each label.
        texts: What stands at the bars; empty for nothing.
        color: Of the theme.
    """

    name: str
    values: Sequence[float]
    texts: Sequence[str] = ()
    color: str = SERIES[0]


def bars_plot(
    labels: Sequence[str],
    series: Sequence[Series],
    axis: str,
    caption: str,
    seen: str,
    numbers: Table | None = None,
) -> Plot:
    """Returns a plot of bars; those of several series are put one after another.

    Args:
        labels: Of the bars, from top to bottom.
        series: At least one.
        axis: What lengths are, with the unit.
        caption: See `Plot`.
        seen: See `Plot.description`.
        numbers: See `Plot`.
    """
    places = list(range(len(labels)))
    figure = go.Figure()
    for each in series:
        figure.add_bar(
            x=list(each.values),
            y=places,
            orientation="h",
            name=each.name,
            marker={"color": each.color},
            text=list(each.texts) or None,
            textposition="auto",
            textangle=0,
            hovertext=[plot_text(label) for label in labels],
            hovertemplate="%{hovertext}: %{x:.4g}",
        )
    figure.update_layout(
        barmode="stack",
        height=_HEAD + _EACH * len(labels),
        xaxis_title=axis,
        showlegend=len(series) > 1,
        legend={"traceorder": "normal"},
    )
    figure.update_yaxes(
        tickvals=places,
        ticktext=[plot_text(label, _LABEL) for label in labels],
        range=[len(labels) - 0.5, -0.5],
        fixedrange=True,
    )
    return Plot(figure, caption, seen, numbers)

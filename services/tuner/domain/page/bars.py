"""Bars, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import plot_text
from common.reports.theme import SERIES

_LABEL = 26
_HEAD, _EACH, _TWO_LINES = 90, 30, 42


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
    ticks = [_tick(label) for label in labels]
    each_height = _TWO_LINES if any("<br>" in tick for tick in ticks) else _EACH
    figure.update_layout(
        barmode="stack",
        height=_HEAD + each_height * len(labels),
        xaxis_title=axis,
        showlegend=len(series) > 1,
        legend={"traceorder": "normal"},
    )
    figure.update_xaxes(nticks=6)
    figure.update_yaxes(
        tickvals=places,
        ticktext=ticks,
        range=[len(labels) - 0.5, -0.5],
        fixedrange=True,
    )
    return Plot(figure, caption, seen, numbers)


def _tick(label: str) -> str:
    """Returns a label for the axis, in two lines where it has two parts: phones are narrow."""
    first, colon, rest = label.partition(": ")
    return "<br>".join(
        plot_text(each, _LABEL) for each in (f"{first}{colon.strip()}", rest) if each
    )

"""What the plots of a comparison have in common."""

from collections.abc import Sequence

from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import plot_text
from common.reports.theme import INK, MUTED, SERIES

_DASHES = ("solid", "dash")
_SYMBOLS = ("circle", "diamond")
_ROW_HEIGHT = 34
_MARGINS = 110

Interval = tuple[float, float, float]
"""Value, low and high end."""


def line_of(place: int) -> dict[str, object]:
    """Returns how the line of a version is drawn, by its place; colours repeat with dashes."""
    dash = _DASHES[place // len(SERIES) % len(_DASHES)]
    return {"color": SERIES[place % len(SERIES)], "dash": dash}


def marker_of(place: int) -> dict[str, object]:
    """Returns how the points of a version are drawn."""
    symbol = _SYMBOLS[place // len(SERIES) % len(_SYMBOLS)]
    return {"color": SERIES[place % len(SERIES)], "symbol": symbol, "size": 8}


def lines(
    curves: Sequence[tuple[int, str, Sequence[float] | Sequence[str], Sequence[float]]],
    across: str,
    up: str,
) -> go.Figure:
    """Returns curves of versions together.

    Args:
        curves: Place and label of a version, with the curve's x and y.
        across: Title of the x axis.
        up: Title of the y axis.
    """
    figure = go.Figure()
    for place, label, x, y in curves:
        figure.add_scatter(
            x=list(x),
            y=list(y),
            name=plot_text(label, 40),
            mode="lines+markers",
            line=line_of(place),
            marker=marker_of(place),
        )
    figure.update_layout(xaxis_title=across, yaxis_title=up, showlegend=True)
    return figure


def intervals(
    rows: Sequence[tuple[str, Interval]],
    title: str,
    colors: Sequence[str] | None = None,
    margin: float | None = None,
) -> go.Figure:
    """Returns differences with their intervals, one below the other, around a line at 0.

    Args:
        rows: What each is of, and the difference.
        title: Of the axis.
        colors: Of each. Default: all alike.
        margin: Where a dashed line stands below 0; None for none.
    """
    values = [found for _, found in rows]
    figure = go.Figure(
        go.Scatter(
            x=[value for value, _, _ in values],
            y=[plot_text(label, 40) for label, _ in rows],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, high - value) for value, _, high in values],
                "arrayminus": [max(0.0, value - low) for value, low, _ in values],
                "color": MUTED,
                "thickness": 2,
            },
            mode="markers",
            marker={"color": list(colors) if colors else SERIES[0], "size": 10},
            showlegend=False,
        )
    )
    figure.add_vline(0, line={"color": INK, "width": 1.5})
    if margin is not None:
        figure.add_vline(-margin, line={"color": MUTED, "dash": "dash", "width": 1.5})
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(xaxis_title=title, height=_MARGINS + _ROW_HEIGHT * max(2, len(rows)))
    return figure


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    caption: str,
    description: str,
    *,
    least: float = 0.0,
) -> Plot:
    """Returns numbers up to 1 as colours.

    Args:
        values: By row and column; None for none.
        rows: What the rows are, unique.
        columns: What the columns are, unique.
        caption: What it shows.
        description: What there is to see.
        least: Where the colours begin.
    """
    figure = go.Figure(
        go.Heatmap(
            z=[list(row) for row in values],
            x=[plot_text(name, 40) for name in columns],
            y=[plot_text(name, 40) for name in rows],
            zmin=least,
            zmax=1,
            texttemplate="%{z:.2f}" if len(columns) <= 10 else None,
            hovertemplate="%{y}, %{x}: %{z:.4f}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category")
    figure.update_layout(height=_MARGINS + _ROW_HEIGHT * max(5, len(rows)))
    numbers = Table(
        ["", *columns], [[name, *row] for name, row in zip(rows, values, strict=True)], caption
    )
    return Plot(figure, caption, description, numbers)

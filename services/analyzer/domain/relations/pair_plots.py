"""Plots of interactions."""

from collections.abc import Sequence

from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import DIVERGING, SEQUENTIAL, SERIES
from services.analyzer.domain.relations.grid import Grid
from services.analyzer.domain.relations.interactions import Interaction, Surface
from services.analyzer.domain.relations.menus import add_menu

_MOST_BARS = 15


def strength_plot(pairs: Sequence[Interaction], output: str) -> Plot:
    """Returns how far each pair acts together, the strongest on top."""
    shown = pairs[:_MOST_BARS][::-1]
    figure = go.Figure(
        go.Bar(
            x=[each.strength for each in shown],
            y=[_pair(each) for each in shown],
            orientation="h",
            marker={"color": SERIES[0]},
            customdata=[each.h for each in shown],
            hovertemplate="%{y}<br>strength %{x:.4g}<br>H %{customdata:.3f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=120 + 30 * len(shown),
        xaxis={"title": f"strength, in {plot_text(output, 40)}", "rangemode": "tozero"},
        yaxis={"type": "category"},
    )
    best = pairs[0]
    return Plot(
        figure,
        "How far pairs of columns act together: the spread of what their joint effect has beyond "
        "the sum of both. H is its share of the joint effect, 0 for columns that add up.",
        f"Bars of {len(shown)} pairs; the longest is {shortened(_plain(best))} with "
        f"{number(best.strength)}.",
        _table(pairs),
    )


def _table(pairs: Sequence[Interaction]) -> Table:
    return Table(
        ["First column", "Second column", "Strength", "H"],
        [[*each.names, each.strength, each.h] for each in pairs],
        "Interactions of pairs of columns.",
    )


def surface_plot(pair: Interaction, surface: Surface, output: str) -> Plot:
    """Returns the main output over two columns; a menu shows the interaction alone."""
    largest = float(abs(surface.interaction).max()) or 1.0
    first, second = surface.grids
    figure = go.Figure(
        [
            _map(first, second, surface.mean, SEQUENTIAL, None),
            _map(first, second, surface.interaction, DIVERGING, largest),
        ]
    )
    figure.data[0].name, figure.data[1].name = "both together", "interaction alone"
    figure.data[1].visible = False
    add_menu(
        figure,
        ["both together", "interaction alone (beyond the sum)"],
        [[True, False], [False, True]],
    )
    names = [plot_text(each, 40) for each in pair.names]
    figure.update_layout(
        height=460,
        xaxis={"title": names[0], **_axis(first)},
        yaxis={"title": names[1], **_axis(second)},
    )
    low, high = float(surface.mean.min()), float(surface.mean.max())
    return Plot(
        figure,
        f"Mean {shortened(output)} over {shortened(_plain(pair))}. Where columns act on their own, "
        "stripes along one axis look the same everywhere; the second choice of the menu shows only "
        "what they do together.",
        f"A map of {len(first)} by {len(second)} values; the output goes from {number(low)} to "
        f"{number(high)}, up to {number(largest)} of it by the two together.",
    )


def _map(
    first: Grid, second: Grid, values: object, scale: str, largest: float | None
) -> go.Heatmap:
    around = {} if largest is None else {"zmid": 0, "zmin": -largest, "zmax": largest}
    return go.Heatmap(
        x=_places(first),
        y=_places(second),
        z=values.T,  # type: ignore[attr-defined]
        colorscale=scale,
        **around,
    )


def _places(grid: Grid) -> list[float] | list[str]:
    if grid.is_numeric:
        places: list[float] = grid.places.tolist()
        return places
    return [plot_text(each, 20) for each in grid.labels]


def _axis(grid: Grid) -> dict[str, str]:
    return {} if grid.is_numeric else {"type": "category"}


def _pair(each: Interaction) -> str:
    return " and ".join(plot_text(name, 24) for name in each.names)


def _plain(each: Interaction) -> str:
    return " and ".join(shortened(name, 40) for name in each.names)

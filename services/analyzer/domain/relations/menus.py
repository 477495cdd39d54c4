"""Drop-downs in figures."""

from collections.abc import Sequence
from typing import Any

from plotly import graph_objects as go

from common.reports.text import plot_text

# plotly marks the chosen entry with a light colour in any scheme, so that all are light.
_COLORS = {"bgcolor": "#eef2f6", "bordercolor": "#8a94a0", "font": {"color": "#1b1f24"}}


def add_menu(
    figure: go.Figure, labels: Sequence[str], shown: Sequence[Sequence[bool]], **layout: Any
) -> None:
    """Puts a drop-down above a figure that chooses traces; the first entry is what is shown first.

    Args:
        figure: The figure, its traces visible as by the first entry.
        labels: Of the entries.
        shown: For each entry, which of the traces are visible.
        layout: What of the layout the entries set: a list of values by path, `__` for dots.
    """
    if len(labels) < 2:
        return
    buttons = [
        {
            "label": plot_text(label, 40),
            "method": "update",
            "args": [
                {"visible": list(visible)},
                {path.replace("__", "."): values[place] for path, values in layout.items()},
            ],
        }
        for place, (label, visible) in enumerate(zip(labels, shown, strict=True))
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.03, "yanchor": "bottom"}
    figure.update_layout(updatemenus=[menu | _COLORS])
    # Below, where the menu is not in its way.
    figure.update_layout(legend={"x": 0, "y": 0, "yref": "container", "yanchor": "bottom"})

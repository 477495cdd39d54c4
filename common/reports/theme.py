"""Colours of figures, by name: the page puts in those of the reader's scheme, light or dark.

The series can be told apart by the colour-blind (after Okabe and Ito, Color universal design, 2008)
and stand out from the page by 3 to 1. Colours of numbers are a scale, the same in both schemes:
SEQUENTIAL (the usual one) or, around a middle, DIVERGING.
"""

from plotly.graph_objects import layout

INK = "var(--ink)"
MUTED = "var(--muted)"
LINE = "var(--line)"
PAPER = "var(--paper)"
SERIES = tuple(f"var(--series-{number})" for number in range(1, 6))

SEQUENTIAL = "Viridis"
DIVERGING = "RdBu"
_CLEAR = "rgba(0,0,0,0)"
_AXIS = {
    "gridcolor": LINE,
    "zerolinecolor": LINE,
    "linecolor": MUTED,
    "ticks": "outside",
    "tickcolor": LINE,
    "automargin": True,
}

TEMPLATE = layout.Template(
    layout={
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "colorway": list(SERIES),
        "font": {"color": INK, "family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {
            "align": "left",
            "bgcolor": PAPER,
            "bordercolor": MUTED,
            "font": {"color": INK},
        },
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 16, "t": 40, "b": 48},
        "colorscale": {"sequential": SEQUENTIAL, "diverging": DIVERGING},
        "modebar": {"bgcolor": _CLEAR, "color": MUTED, "activecolor": INK},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    },
    data={
        kind: [{"colorscale": SEQUENTIAL, "colorbar": {"outlinewidth": 0}}]
        for kind in ("contour", "heatmap", "histogram2d")
    },
)

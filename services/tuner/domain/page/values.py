"""How near predicted values are to true ones."""

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from common.reports.report import Part, Plot
from common.reports.text import number
from common.reports.theme import MUTED, SERIES
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import counted

Floats = npt.NDArray[np.float64]

_MOST_POINTS = 1_500
_BINS = 60
_TAIL = 0.002


def residuals(evidence: Evidence) -> list[Part]:
    """Returns predicted against true values, and how errors are spread."""
    truth = evidence.pool.truth.astype(np.float64)
    predicted = np.asarray(evidence.outputs[:, 0], np.float64)
    return [_scatter(truth, predicted), _histogram(predicted - truth)]


def _scatter(truth: Floats, predicted: Floats) -> Plot:
    rows = np.linspace(0, len(truth) - 1, min(len(truth), _MOST_POINTS)).astype(np.int64)
    order = np.argsort(truth, kind="stable")[rows]
    low = float(min(truth[order].min(), predicted[order].min()))
    high = float(max(truth[order].max(), predicted[order].max()))
    figure = go.Figure()
    figure.add_scatter(
        x=predicted[order],
        y=truth[order],
        mode="markers",
        name="rows",
        marker={"color": SERIES[0], "size": 6, "opacity": 0.5},
        hovertemplate="predicted %{x:.4g}, true %{y:.4g}<extra></extra>",
    )
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        name="exact",
        line={"color": MUTED, "dash": "dash"},
        hoverinfo="skip",
    )
    figure.update_layout(xaxis_title="predicted", yaxis_title="true", height=460)
    told = "" if len(order) == len(truth) else f" {number(len(order))} of them are drawn."
    caption = f"Rows by what is predicted and what is true; on the line both are the same.{told}"
    related = float(np.corrcoef(truth, predicted)[0, 1]) if np.ptp(truth) * np.ptp(predicted) else 0
    seen = f"{counted(len(order), 'point')} about the diagonal, correlation {number(related)}."
    return Plot(figure, caption, seen)


def _histogram(errors: Floats) -> Plot:
    low, high = np.quantile(errors, [_TAIL, 1 - _TAIL])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(errors, low, high), _BINS, (low, high))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=edges[1] - edges[0],
            marker={"color": SERIES[0], "line": {"width": 0}},
            hovertemplate="%{y:,} rows off by about %{x:.4g}<extra></extra>",
        )
    )
    figure.add_vline(0, line={"color": MUTED, "dash": "dash", "width": 1.5})
    figure.update_layout(
        bargap=0, xaxis_title="predicted less true value", yaxis_title="rows", height=340
    )
    quarters = [number(float(each)) for each in np.quantile(errors, [0.05, 0.25, 0.5, 0.75, 0.95])]
    caption = (
        "How far predictions are off: left of the line too low, right of it too high. Bars at "
        "the ends hold what lies beyond."
    )
    seen = (
        f"Histogram of {counted(len(errors), 'error')}: half are between {quarters[1]} and "
        f"{quarters[3]}, nine of ten between {quarters[0]} and {quarters[4]}, the middle one is "
        f"{quarters[2]}."
    )
    return Plot(figure, caption, seen)

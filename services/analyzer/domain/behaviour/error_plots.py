"""Plots of errors: of a regression, of slices, of outliers."""

from collections.abc import Sequence

from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import number, plot_text
from common.reports.theme import INK, MUTED, SERIES
from services.analyzer.domain.behaviour.residuals import Residuals
from services.analyzer.domain.behaviour.summary import (
    BehaviourSummary,
    ErrorSlice,
    OutlierErrors,
    ResidualBin,
)
from services.analyzer.domain.behaviour.words import (
    error_label,
    error_value,
    p_value_text,
    slice_text,
)

_CONDITION_LENGTH = 46
_ROW_HEIGHT = 48
_ERROR = "error: prediction less truth"
_CERTAIN = 0.01
_NOTABLE = 1.2
_CLEAR = 0.2


def residuals_plot(off: Residuals) -> Plot:
    """Returns errors against predictions, with the bias of each tenth."""
    figure = go.Figure()
    figure.add_scatter(
        x=off.predictions,
        y=off.errors,
        mode="markers",
        name="rows",
        marker={"color": SERIES[0], "size": 5, "opacity": 0.35},
        hovertemplate="predicted %{x:.4g}, error %{y:.4g}",
    )
    figure.add_trace(_bias(off.summary.by_prediction))
    figure.add_hline(0, line={"color": INK, "width": 1})
    figure.update_layout(xaxis_title="prediction", yaxis_title=_ERROR, height=460)
    caption = (
        "Errors against predictions; above 0 the prediction is too high. The line is the mean of "
        "each tenth of the rows with its 95 % interval: where it leaves 0, there is a bias. "
        f"{_spread_text(off)}"
    )
    worst = max(off.summary.by_prediction, key=lambda each: abs(each.bias))
    seen = (
        f"The mean error is furthest from 0, {number(worst.bias)}, for predictions from "
        f"{number(worst.low)} to {number(worst.high)}."
    )
    return Plot(figure, caption, seen, _bins_table(off.summary.by_prediction, "Prediction"))


def _spread_text(off: Residuals) -> str:
    correlation, p_value = off.summary.spread_correlation, off.summary.spread_p_value
    if correlation is None or p_value is None:
        return ""
    bins = sorted(off.summary.by_prediction, key=lambda each: each.root_mean_squared_error)
    least, most = bins[0].root_mean_squared_error, bins[-1].root_mean_squared_error
    if p_value > _CERTAIN or most < _NOTABLE * least:
        return "The errors spread about alike everywhere."
    if abs(correlation) >= _CLEAR:
        where = f"{'grow' if correlation > 0 else 'shrink'} with the prediction"
    else:
        low, high = number(bins[-1].low), number(bins[-1].high)
        where = f"are largest for predictions from {low} to {high}"
    return (
        f"Errors {where} (root mean squared from {number(least)} to {number(most)} in the tenths): "
        "one interval for all predictions would be wrong."
    )


def histogram_plot(off: Residuals) -> Plot:
    """Returns how many rows have which error."""
    middles = (off.edges[:-1] + off.edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=off.counts,
            width=float(off.edges[1] - off.edges[0]),
            marker={"color": SERIES[0], "line": {"width": 0}},
            hovertemplate="%{y:,} rows, error about %{x:.4g}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title=_ERROR, yaxis_title="rows", bargap=0)
    figure.add_vline(0, line={"color": INK, "width": 1})
    low, middle, high = (off.summary.quantiles[place] for place in (1, 10, 19))
    caption = (
        f"How many rows have which error: nine of ten are between {number(low)} and {number(high)}."
        " What is further out counts with the outermost bars."
    )
    return Plot(figure, caption, f"A histogram; the middle error is {number(middle)}.")


def quantiles_plot(off: Residuals) -> Plot:
    """Returns quantiles of the errors against those of a normal distribution."""
    figure = go.Figure()
    figure.add_scatter(
        x=off.normal,
        y=off.quantiles,
        mode="markers",
        name="errors",
        marker={"color": SERIES[0], "size": 6},
        hovertemplate="%{y:.4g}, normal %{x:.4g}",
    )
    ends = [float(off.normal[0]), float(off.normal[-1])]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="normal",
        line={"color": MUTED, "dash": "dash"},
        hoverinfo="skip",
    )
    figure.update_layout(xaxis_title="normal quantile", yaxis_title="quantile of errors")
    caption = (
        "Quantiles of the errors against those of a normal distribution with their mean and "
        "spread. Where points bend away from the line at the ends, large errors are more frequent "
        "than normal ones."
    )
    kurtosis = off.summary.excess_kurtosis
    seen = "All errors are equal." if kurtosis is None else f"Excess kurtosis {number(kurtosis)}."
    return Plot(figure, caption, seen)


def truth_plot(off: Residuals) -> Plot:
    """Returns errors by range of the target."""
    bins = off.summary.by_truth
    places = list(range(len(bins)))
    figure = go.Figure()
    figure.add_bar(
        x=places,
        y=[each.mean_absolute_error for each in bins],
        name="mean absolute error",
        marker={"color": SERIES[0]},
        hovertemplate="%{y:.4g}",
    )
    bias = _bias(bins)
    bias.x = places
    figure.add_trace(bias)
    figure.update_layout(
        xaxis={
            "title": {"text": "target"},
            "tickmode": "array",
            "tickvals": places,
            "ticktext": [f"{number(each.low)} to {number(each.high)}" for each in bins],
        },
        yaxis={"title": {"text": "error"}},
    )
    caption = (
        "Errors by range of the target, tenths of the rows. That low targets are predicted too "
        "high and high ones too low is usual for models that are not exact; what matters is how "
        "much."
    )
    worst = max(bins, key=lambda each: each.mean_absolute_error)
    seen = (
        f"The mean absolute error is largest, {number(worst.mean_absolute_error)}, for targets "
        f"from {number(worst.low)} to {number(worst.high)}."
    )
    return Plot(figure, caption, seen, _bins_table(bins, "Target"))


def _bias(bins: Sequence[ResidualBin]) -> go.Scatter:
    return go.Scatter(
        x=[(each.low + each.high) / 2 for each in bins],
        y=[each.bias for each in bins],
        mode="lines+markers",
        name="bias",
        line={"color": SERIES[1], "width": 2},
        marker={"color": SERIES[1], "size": 8},
        error_y={
            "array": [each.bias_high - each.bias for each in bins],
            "arrayminus": [each.bias - each.bias_low for each in bins],
            "color": SERIES[1],
        },
        hovertemplate="bias %{y:.4g}",
    )


def _bins_table(bins: Sequence[ResidualBin], of: str) -> Table:
    rows = [
        (
            each.low,
            each.high,
            each.rows,
            each.bias,
            each.mean_absolute_error,
            each.root_mean_squared_error,
        )
        for each in bins
    ]
    columns = (
        *(f"{of} from", "to", "Rows", "Bias"),
        *("Mean absolute error", "Root mean squared error"),
    )
    return Table(columns, rows, "Tenths of the rows.")


def slices_plot(summary: BehaviourSummary) -> Plot:
    """Returns the error of each slice against that of all other rows."""
    slices = summary.slices
    figure = _pairs_of_points(slices)
    for place, each in enumerate(slices):
        figure.add_annotation(
            text=plot_text(each.condition, _CONDITION_LENGTH),
            hovertext=plot_text(each.condition, 3 * _CONDITION_LENGTH),
            x=0,
            xref="paper",
            xanchor="left",
            y=place,
            yshift=_ROW_HEIGHT / 3,
            showarrow=False,
        )
    figure.update_layout(
        height=150 + _ROW_HEIGHT * len(slices),
        xaxis={"title": {"text": error_label(summary)}, "rangemode": "tozero"},
        yaxis={"visible": False, "range": [len(slices) - 0.5, -0.7]},
        margin={"l": 16},
    )
    if summary.row_error != "absolute_error":
        figure.update_xaxes(tickformat=".0%")
    return Plot(figure, _SLICES_CAPTION, slice_text(summary, slices[0]), _slices_table(summary))


def _pairs_of_points(slices: Sequence[ErrorSlice]) -> go.Figure:
    """Draws a line for each slice, from the error elsewhere to that within."""
    figure = go.Figure()
    for name, values, symbol, color in (
        ("in the slice", [each.error for each in slices], "circle", SERIES[1]),
        ("elsewhere", [each.error_elsewhere for each in slices], "circle-open", SERIES[0]),
    ):
        figure.add_scatter(
            x=values,
            y=list(range(len(slices))),
            mode="markers",
            name=name,
            marker={"color": color, "symbol": symbol, "size": 11, "line": {"width": 2}},
            hovertemplate="%{x:.4g}",
        )
    for place, each in enumerate(slices):
        figure.add_shape(
            type="line",
            x0=each.error_elsewhere,
            x1=each.error,
            y0=place,
            y1=place,
            line={"color": MUTED, "width": 2},
            layer="below",
        )
    return figure


_SLICES_CAPTION = (
    "Slices of the rows with clearly larger errors than elsewhere, the clearest on top: found on "
    "one half of the rows and tested on the other, with a false discovery rate of 5 %. The further "
    "the two points of a line are apart, the worse."
)


def _slices_table(summary: BehaviourSummary) -> Table:
    rows = [
        (
            each.condition,
            each.rows,
            error_value(summary, each.error),
            error_value(summary, each.error_elsewhere),
            each.effect,
            p_value_text(each.p_value),
        )
        for each in summary.slices
    ]
    columns = ("Where", "Rows", "Error", "Elsewhere", "Effect in deviations", "p")
    return Table(columns, rows, f"Error: {error_label(summary)}.")


def outliers_plot(summary: BehaviourSummary, found: OutlierErrors) -> Plot:
    """Returns the error of outliers against that of the others."""
    figure = go.Figure(
        go.Bar(
            x=[found.error_marked, found.error_unmarked],
            y=["outliers", "others"],
            orientation="h",
            marker={"color": [SERIES[1], SERIES[0]]},
            hovertemplate="%{x:.4g}<extra></extra>",
        )
    )
    figure.update_layout(height=220, xaxis_title=error_label(summary))
    figure.update_yaxes(autorange="reversed")
    if summary.row_error != "absolute_error":
        figure.update_xaxes(tickformat=".0%")
    inside = error_value(summary, found.error_marked)
    outside = error_value(summary, found.error_unmarked)
    caption = f"The {error_label(summary)} among rows that the scan marks, and among the others."
    return Plot(figure, caption, f"Two bars: {inside} among outliers, {outside} among the others.")

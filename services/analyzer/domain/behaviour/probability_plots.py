"""Plots of probabilities: whether they mean what they say, and what thresholds would give."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import INK, MUTED, PAPER, SERIES
from services.analyzer.domain.behaviour.observed import Numbers
from services.analyzer.domain.behaviour.summary import CalibrationSummary
from services.analyzer.domain.behaviour.thresholds import Curve
from services.analyzer.domain.behaviour.words import percent

_NAME_LENGTH = 24
_NOTABLE = 0.02
_SHARE = {"range": [-0.02, 1.02]}
_MENU_PLACE = {"x": 1, "xanchor": "right", "y": 1.22, "yanchor": "bottom"}
_COSTS = (
    ("both errors cost the same", 1, 1),
    ("a miss costs 5 false alarms", 5, 1),
    ("a false alarm costs 5 misses", 1, 5),
)


def calibration_text(found: CalibrationSummary) -> str:
    """Returns whether the model is too sure of itself."""
    error = percent(found.expected_error)
    told = f"Probabilities are off by {error} on average; chance alone would make it "
    told += f"{percent(found.chance_error)} if they were exact. "
    by = percent(abs(found.overconfidence))
    if abs(found.overconfidence) < _NOTABLE:
        told += "On the whole the model is about as sure as it is right."
    elif found.overconfidence > 0:
        told += f"The model is too sure: by {by} more than it is right."
    else:
        told += f"The model is not sure enough: by {by} less than it is right."
    return f"{told} The Brier score is {number(found.brier_score)} (0 is best)."


def calibration_plot(found: CalibrationSummary, second: str) -> Plot:
    """Returns what came true against what was said.

    Args:
        found: What to draw.
        second: Name of the second of two classes.
    """
    shares, said = np.array([[each.frequency, each.probability] for each in found.bins]).T
    figure = go.Figure(_diagonal("exact"))
    figure.add_scatter(
        x=said,
        y=shares,
        mode="lines+markers",
        name="the model",
        marker={"color": SERIES[0], "size": 8},
        line={"color": SERIES[0]},
        error_y={
            "array": [each.high - each.frequency for each in found.bins],
            "arrayminus": [each.frequency - each.low for each in found.bins],
            "color": SERIES[0],
            "thickness": 1.2,
            "width": 3,
        },
        hovertemplate="said %{x:.3f}, came true %{y:.3f}",
    )
    of = {
        "second_class": f"of {plot_text(second, _NAME_LENGTH)}",
        "predicted_class": "of the predicted class",
        "labels": "of labels",
    }[found.of]
    figure.update_layout(
        xaxis={"title": {"text": f"probability {of}"}, **_SHARE},
        yaxis={"title": {"text": "how often it came true"}, **_SHARE},
        height=480,
    )
    caption = (
        "What the model says against what comes true, in bins of about as many rows. On the line, "
        "it means what it says; points below the line came true less often than was said."
    )
    worst = max(found.bins, key=lambda each: abs(each.probability - each.frequency))
    seen = (
        f"{len(found.bins)} points along the diagonal; furthest from it, "
        f"{percent(worst.frequency)} came true where {percent(worst.probability)} was said."
    )
    return Plot(figure, caption, seen, _bins_table(found))


def _bins_table(found: CalibrationSummary) -> Table:
    rows = [
        (each.probability, each.frequency, each.low, each.high, each.rows) for each in found.bins
    ]
    return Table(("Probability", "Came true", "95 % from", "to", "Rows"), rows, "The bins.")


def thresholds_table(curves: Sequence[Curve]) -> Table:
    """Returns the best thresholds of each class or label."""
    rows = [
        (
            each.summary.positive,
            each.summary.support,
            each.summary.roc_auc,
            each.summary.average_precision,
            each.summary.best_f1.threshold,
            each.summary.best_f1.f1,
            each.summary.best_youden.threshold,
            each.summary.best_youden.recall - each.summary.best_youden.false_positive_rate,
        )
        for each in curves
    ]
    columns = (
        *("Positive", "Rows", "ROC area", "Mean precision"),
        *("F1 best at", "F1 there", "J best at", "J there"),
    )
    caption = (
        "Which threshold is best: for F1, and for Youden's J, which is recall less false alarms. "
        "They are found on these same rows, so on others they will do a little worse. Mean "
        "precision is the area under the precision-recall curve."
    )
    return Table(columns, rows, caption)


def roc_plot(curves: Sequence[Curve]) -> Plot:
    """Returns recall against false alarms."""
    figure = _figure(curves, _roc_traces)
    figure.add_trace(_diagonal("by chance"))
    _finish(figure, curves, 1, "false alarms: share of the others", "recall: share that is found")
    caption = (
        "How many are found for how many false alarms, over all thresholds. The nearer to the "
        "corner above on the left, the better."
    )
    return Plot(figure, caption, _seen(curves, "Area under the curve", "roc_auc"))


def precision_plot(curves: Sequence[Curve]) -> Plot:
    """Returns precision against recall."""
    figure = _figure(curves, _precision_traces)
    _finish(figure, curves, 0, "recall: share that is found", "precision: share that is right")
    caption = (
        "How much of what is taken for positive is so, against how much is found. The nearer to "
        "the corner above on the right, the better; the dashed line is chance."
    )
    return Plot(figure, caption, _seen(curves, "Average precision", "average_precision"))


def scores_plot(curves: Sequence[Curve]) -> Plot:
    """Returns precision, recall and F1 over the threshold."""
    figure = _figure(curves, _score_traces)
    _finish(figure, curves, 0, "threshold", "score")
    best = curves[0].summary
    caption = "What each threshold gives. The dashed line is the threshold with the best F1."
    seen = (
        f"F1 of {shortened(best.positive, _NAME_LENGTH)} is best, {number(best.best_f1.f1)}, at a "
        f"threshold of {number(best.best_f1.threshold)}."
    )
    return Plot(figure, caption, seen, _points(curves))


def cost_plot(curves: Sequence[Curve]) -> Plot:
    """Returns what errors cost over the threshold."""
    figure = _figure(curves, _cost_traces)
    _finish(figure, curves, 0, "threshold", "cost of a row")
    figure.update_yaxes(range=None, rangemode="tozero")
    caption = (
        "What a row costs on average at each threshold, where the cheaper kind of error costs 1. "
        "Each line has its own best threshold, where it is lowest."
    )
    curve = curves[0]
    best = float(curve.thresholds[int(_cost(curve, 1, 1).argmin())])
    seen = (
        f"Where both errors cost the same, {shortened(curve.summary.positive, _NAME_LENGTH)} is "
        f"cheapest at a threshold of {number(min(1.0, best))}."
    )
    return Plot(figure, caption, seen)


def _figure(curves: Sequence[Curve], traces_of: Callable[[Curve], list[go.Scatter]]) -> go.Figure:
    """Returns a figure of which a menu shows the traces of one curve."""
    figure = go.Figure()
    for place, curve in enumerate(curves):
        for trace in traces_of(curve):
            trace.visible = place == 0
            trace.meta = place
            figure.add_trace(trace)
    return figure


def _finish(figure: go.Figure, curves: Sequence[Curve], fixed: int, across: str, up: str) -> None:
    """Names the axes, and adds the menu; the last `fixed` traces are always shown."""
    figure.update_layout(
        xaxis={"title": {"text": across}, **_SHARE},
        yaxis={"title": {"text": up}, **_SHARE},
        height=440,
    )
    if len(curves) < 2:
        return
    changing = figure.data[: len(figure.data) - fixed]
    buttons = [
        {
            "label": plot_text(curve.summary.positive, _NAME_LENGTH),
            "method": "restyle",
            "args": ["visible", [each.meta == place for each in changing] + [True] * fixed],
        }
        for place, curve in enumerate(curves)
    ]
    menu: dict[str, Any] = {
        "buttons": buttons,
        "bgcolor": PAPER,
        "bordercolor": MUTED,
        "font": {"color": INK},
        "showactive": False,
        **_MENU_PLACE,
    }
    figure.update_layout(updatemenus=[menu], margin={"t": 140}, height=500)


def _roc_traces(curve: Curve) -> list[go.Scatter]:
    best = curve.summary.best_youden
    return [
        _line(curve, curve.false_positive_rate, curve.recall, _name(curve), SERIES[0]),
        go.Scatter(
            x=[best.false_positive_rate],
            y=[best.recall],
            mode="markers",
            name="best by Youden",
            marker={"color": SERIES[1], "size": 11, "symbol": "diamond"},
            hovertemplate=f"threshold {best.threshold:.4g}",
        ),
    ]


def _precision_traces(curve: Curve) -> list[go.Scatter]:
    best = curve.summary.best_f1
    return [
        _line(curve, curve.recall, curve.precision, _name(curve), SERIES[0]),
        go.Scatter(
            x=[best.recall],
            y=[best.precision],
            mode="markers",
            name="best F1",
            marker={"color": SERIES[1], "size": 11, "symbol": "diamond"},
            hovertemplate=f"threshold {best.threshold:.4g}",
        ),
        _dashed([0, 1], [curve.prevalence] * 2, "by chance"),
    ]


def _score_traces(curve: Curve) -> list[go.Scatter]:
    at = np.minimum(curve.thresholds, 1)
    best = curve.summary.best_f1.threshold
    return [
        _line(curve, at, curve.precision, "precision", SERIES[0]),
        _line(curve, at, curve.recall, "recall", SERIES[1]),
        _line(curve, at, curve.f1, "F1", SERIES[2]),
        _dashed([best, best], [0, 1], "best F1"),
    ]


def _cost_traces(curve: Curve) -> list[go.Scatter]:
    at = np.minimum(curve.thresholds, 1)
    return [
        _line(curve, at, _cost(curve, miss, alarm), name, color)
        for (name, miss, alarm), color in zip(_COSTS, SERIES, strict=False)
    ]


def _cost(curve: Curve, miss: float, alarm: float) -> Numbers:
    share = curve.prevalence
    misses = share * (1 - curve.recall)
    return np.asarray(miss * misses + alarm * (1 - share) * curve.false_positive_rate)


def _line(curve: Curve, x: Numbers, y: Numbers, name: str, color: str) -> go.Scatter:
    # Pages are half as large with short numbers, and nobody sees the difference.
    return go.Scatter(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        mode="lines",
        name=name,
        line={"color": color, "width": 2},
        customdata=np.minimum(curve.thresholds, 1).astype(np.float32),
        hovertemplate="%{y:.3f}, threshold %{customdata:.4g}",
    )


def _dashed(x: Sequence[float], y: Sequence[float], name: str) -> go.Scatter:
    line = {"color": MUTED, "dash": "dash", "width": 1.5}
    return go.Scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip")


def _diagonal(name: str) -> go.Scatter:
    return _dashed([0, 1], [0, 1], name)


def _name(curve: Curve) -> str:
    return plot_text(curve.summary.positive, _NAME_LENGTH)


def _points(curves: Sequence[Curve]) -> Table:
    rows = [
        (
            curve.summary.positive,
            each.threshold,
            each.recall,
            each.false_positive_rate,
            each.precision,
            each.f1,
        )
        for curve in curves
        for each in curve.summary.points
    ]
    columns = ("Positive", "Threshold", "Recall", "False alarms", "Precision", "F1")
    return Table(columns, rows, "Points along the curves.")


def _seen(curves: Sequence[Curve], what: str, name: str) -> str:
    told = [
        f"{number(getattr(summary, name))} for {shortened(summary.positive, _NAME_LENGTH)}"
        for summary in (curve.summary for curve in curves)
    ]
    return f"{what}: {', '.join(told)}."

"""Plots of what disturbances do."""

from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Cell, Picture, Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import INK, MUTED, SEQUENTIAL, SERIES
from services.analyzer.domain.metrics import Interval
from services.analyzer.domain.robustness.findings import (
    AttackKind,
    Curve,
    DisturbanceKind,
    RobustnessFindings,
    Strip,
    shown_interval,
)
from services.analyzer.domain.robustness.words import metric_label, told_severity

_MOST_COLUMNS = 20
_SHORT: dict[DisturbanceKind | AttackKind, str] = {
    DisturbanceKind.MISSING: "missing",
    DisturbanceKind.GONE: "gone",
    DisturbanceKind.NOISE: "noise",
    DisturbanceKind.SHIFT: "shift",
    DisturbanceKind.ANOTHER_LABEL: "label",
}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")


def ranking_plot(findings: RobustnessFindings) -> Plot:
    """Returns how much of what the model can is left under each disturbance, the worst on top."""
    curves = [each for each in findings.curves if each.robustness is not None][::-1]
    shares = [100 * (each.robustness or 0.0) for each in curves]
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=[plot_text(each.kind.label, 40) for each in curves],
            orientation="h",
            marker={"color": SERIES[0]},
            text=[f"{share:.0f} %" for share in shares],
            textposition="auto",
            hovertemplate="%{y}: %{x:.1f} % is left<extra></extra>",
        )
    )
    figure.update_layout(
        height=120 + 32 * len(curves),
        xaxis={"title": "left of the lead (%)", "range": [0, 100]},
        yaxis={"type": "category"},
        showlegend=False,
    )
    caption = (
        "What hurts most, on top. Each bar is the mean over all severities of what is left of the "
        f"{metric_label(findings)}'s distance from a constant guess: at 100 % nothing is lost, at "
        "0 % the model is no better than a guess."
    )
    seen = (
        f"Bars of {len(curves)} disturbances, from {curves[-1].kind.label} with "
        f"{number(shares[-1])} % to {curves[0].kind.label} with {number(shares[0])} %."
    )
    rows: list[list[Cell]] = [
        [each.kind.label, each.robustness, each.half_severity, each.unit] for each in curves[::-1]
    ]
    heads = ["Disturbance", "Share left", "Half is lost at", "In"]
    return Plot(figure, caption, seen, Table(heads, rows, "Disturbances, what hurts most first."))


def curves_plot(findings: RobustnessFindings, curves: Sequence[Curve], which: str) -> Plot:
    """Returns the metric by severity under several disturbances.

    Args:
        findings: What they are of.
        curves: Those that are drawn, at most five.
        which: What these are among all, for the caption.
    """
    figure = go.Figure()
    for place, curve in enumerate(curves):
        ways = np.linspace(0, 1, len(curve.points) + 1).tolist()
        hints = ["undisturbed"]
        hints += [told_severity(each.severity, curve.unit) for each in curve.points]
        scores = [findings.score, *(each.score for each in curve.points)]
        figure.add_trace(_line(findings, curve.kind.label, place, ways, scores, hints))
    _add_guess(findings, figure, curves)
    figure.update_xaxes(
        title="how strong", tickvals=[0, 0.5, 1], ticktext=["undisturbed", "middle", "strongest"]
    )
    figure.update_layout(height=420, yaxis_title=metric_label(findings))
    names = ", ".join(each.kind.label for each in curves)
    caption = (
        f"The {metric_label(findings)} under {which}, from the undisturbed rows on the left to the "
        "strongest disturbance tried, with 95 % intervals; point at a line for the severities. The "
        "grey line is a constant guess."
    )
    return Plot(figure, caption, f"Lines that fall: {names}.", _numbers(findings, curves))


def attacks_plot(findings: RobustnessFindings) -> Plot:
    """Returns the metric by size of small steps."""
    figure = go.Figure()
    for place, attack in enumerate(findings.attacks):
        points = attack.curve.points
        sizes = [0.0, *(each.severity for each in points)]
        scores = [attack.score, *(each.score for each in points)]
        hints = [told_severity(size, attack.curve.unit) for size in sizes]
        figure.add_trace(_line(findings, attack.curve.kind.label, place, sizes, scores, hints))
    curves = [each.curve for each in findings.attacks]
    _add_guess(findings, figure, curves)
    unit = findings.attacks[0].curve.unit
    figure.update_layout(
        height=420,
        xaxis_title=f"size of steps ({unit})",
        yaxis_title=metric_label(findings),
    )
    caption = (
        f"The {metric_label(findings)} of {findings.attacks[0].rows:,} rows after small steps of "
        "each number or pixel, within the range of the data, with 95 % intervals. A model that "
        "goes by noise breaks at steps that nobody would notice."
    )
    names = ", ".join(each.curve.kind.label for each in findings.attacks)
    return Plot(figure, caption, f"Lines by size of step: {names}.", _numbers(findings, curves))


def columns_plot(findings: RobustnessFindings) -> Plot:
    """Returns what disturbances of single columns cost, column by column."""
    found = findings.columns[:_MOST_COLUMNS]
    kinds = list(dict.fromkeys(curve.kind for each in found for curve in each.curves))
    falls = [{curve.kind: curve.points[0].fall.value for curve in each.curves} for each in found]
    cells = [[own.get(kind) for kind in kinds] for own in falls]
    most = max((fall for own in falls for fall in own.values()), default=0.0)
    figure = go.Figure(
        go.Heatmap(
            z=cells[::-1],
            x=[_SHORT[each] for each in kinds],
            y=[plot_text(each.column, 24) for each in found[::-1]],
            colorscale=SEQUENTIAL,
            zmin=0,
            zmax=most if most > 0 else 1,
            showscale=False,
            texttemplate="%{z:.2g}",
            hovertemplate="%{y}, %{x}: %{z:.4g}<extra></extra>",
        )
    )
    figure.update_layout(
        height=120 + 28 * len(found), yaxis={"type": "category"}, xaxis={"side": "top"}
    )
    first = found[0].curves
    severities = "; ".join(
        f"{_SHORT[each.kind]}: {told_severity(each.points[0].severity, each.unit)}"
        for each in first
    )
    caption = (
        f"How much worse the {metric_label(findings)} gets when one column alone is disturbed, the "
        f"columns that matter most on top ({severities})."
    )
    seen = f"A grid of {len(found)} columns by {len(kinds)} disturbances."
    return Plot(figure, caption, seen, _column_numbers(findings))


def strip_picture(strip: Strip) -> Picture:
    """Returns an image under a disturbance."""
    last = told_severity(strip.severities[-1], strip.unit)
    label = strip.kind.label
    caption = f"{label[:1].upper()}{label[1:]}, up to {last}: {_found(strip)}"
    return Picture(strip.png, caption, _strip_seen(strip))


def attack_picture(strip: Strip) -> Picture:
    """Returns an image before and after steps along the gradient."""
    sizes = ", ".join(number(each) for each in strip.severities)
    caption = (
        f"The image that small steps hurt most: changed by {sizes} {strip.unit}. The model makes "
        f"of it: {_found(strip)}."
    )
    return Picture(strip.png, caption, _strip_seen(strip))


def _strip_seen(strip: Strip) -> str:
    return f"{len(strip.severities)} pictures side by side, changed by {strip.kind.label}."


def _found(strip: Strip) -> str:
    return " → ".join(shortened(each, 20) for each in strip.found)


def _line(
    findings: RobustnessFindings,
    name: str,
    place: int,
    ways: Sequence[float],
    scores: Sequence[Interval],
    hints: Sequence[str],
) -> go.Scatter:
    """Returns a line of the metric with its intervals."""
    shown = [shown_interval(each, findings.metric) for each in scores]
    return go.Scatter(
        x=list(ways),
        y=[each.value for each in shown],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.value for each in shown],
            "arrayminus": [each.value - each.low for each in shown],
            "thickness": 1,
            "width": 2,
        },
        name=plot_text(name, 60),
        mode="lines+markers",
        line={"color": SERIES[place % len(SERIES)], "dash": _DASHES[place % len(_DASHES)]},
        marker={"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 8},
        hovertext=[f"{name}<br>{hint}" for hint in hints],
        hovertemplate="%{hovertext}<br>%{y:.4g}<extra></extra>",
    )


def _add_guess(findings: RobustnessFindings, figure: go.Figure, curves: Sequence[Curve]) -> None:
    """Draws where a constant guess is, and leaves out what is far worse."""
    margin = max(findings.score.value - findings.guess, 0.0)
    least = findings.guess - 2 * margin
    if margin and min(point.score.value for each in curves for point in each.points) < least:
        best = max(findings.score.high, findings.score.value + 0.1 * margin)
        limits = sorted(findings.metric.shown(each) for each in (least, best))
        figure.update_yaxes(range=limits)
    figure.add_hline(
        findings.metric.shown(findings.guess),
        line={"color": MUTED, "dash": "dot", "width": 1.5},
        annotation={"text": "constant guess", "font": {"color": INK, "size": 11}},
        annotation_position="bottom left",
    )


def _numbers(findings: RobustnessFindings, curves: Sequence[Curve]) -> Table:
    rows: list[list[Cell]] = []
    for curve in curves:
        for point in curve.points:
            shown = shown_interval(point.score, findings.metric)
            severity = told_severity(point.severity, curve.unit)
            numbers = [shown.value, shown.low, shown.high, point.retained]
            rows.append([curve.kind.label, severity, *numbers])
    metric = metric_label(findings)
    heads = ["Disturbance", "Severity", metric, "Low (95 %)", "High (95 %)", "Share left"]
    return Table(heads, rows, f"The {metric} by severity.")


def _column_numbers(findings: RobustnessFindings) -> Table:
    rows: list[list[Cell]] = []
    for each in findings.columns:
        for curve in each.curves:
            point = curve.points[0]
            severity = told_severity(point.severity, curve.unit)
            fall = point.fall
            rows.append([each.column, curve.kind.label, severity, fall.value, fall.low, fall.high])
    heads = ["Column", "Disturbance", "Severity", "Worse by", "Low (95 %)", "High (95 %)"]
    return Table(heads, rows, "What disturbances of single columns cost.")

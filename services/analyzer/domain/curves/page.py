"""The section of training curves."""

from collections.abc import Iterator, Sequence

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Cell, Notice, Part, Plot, Section, Severity, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import INK, MUTED, SERIES
from services.analyzer.domain.curves.findings import (
    CurvesFindings,
    CurveVerdict,
    CurveVerdictKind,
    RunCurves,
    best_place,
    direction,
    thinned,
)
from services.analyzer.domain.subject import History

_MOST_POINTS = 500
_MOST_PLOTS = 12
_MOST_RUNS = 8
_MOST_BEST = 3
_WIDE_RANGE = 30
_SEVERITIES = {
    CurveVerdictKind.DIVERGED: (Severity.PROBLEM, "Diverged"),
    CurveVerdictKind.OVERFITTED: (Severity.WARNING, "Overfitted"),
    CurveVerdictKind.UNDERFITTED: (Severity.WARNING, "Underfitted"),
    CurveVerdictKind.SPIKES: (Severity.WARNING, "Unsteady"),
    CurveVerdictKind.GAP: (Severity.NOTE, "Gap between training and validation"),
    CurveVerdictKind.STILL_FALLING: (Severity.NOTE, "Could train longer"),
    CurveVerdictKind.FINE: (Severity.GOOD, "Trained well"),
}
_PARTS = {
    "train": "training",
    "validation": "validation",
    "out_of_bag": "out of bag",
}
_COLORS = {"train": SERIES[0], "validation": SERIES[1], "out_of_bag": SERIES[2], "": SERIES[0]}


def show_curves(findings: CurvesFindings) -> Section:
    """Makes the section: verdicts, a plot for each metric, a table of the runs."""
    found = findings.summary
    parts: list[Part] = [_first_sentence(findings), *map(_notice, found.verdicts)]
    parts += [_plot(metric, findings) for metric in _metrics(findings.histories)[:_MOST_PLOTS]]
    parts.append(_table(found.runs, findings.unit))
    return Section("Training curves", parts, note=" ".join(findings.notes))


def _first_sentence(findings: CurvesFindings) -> str:
    own = findings.summary.runs[0]
    trained = f"{own.epoch_count:,} {findings.unit}s"
    if own.best_epoch is None:
        return f"The training took {trained}."
    best = next((each.best for each in own.curves if each.name == own.best_by), None)
    told = f" with a {_label(own.best_by)} of {number(best)}" if best is not None else ""
    others = len(findings.summary.runs) - 1
    beside = ""
    if others:
        beside = f" Dotted: {others} earlier version{'s' if others > 1 else ''} of the model."
    return f"Best {findings.unit}: {own.best_epoch} of {trained}{told}.{beside}"


def _notice(verdict: CurveVerdict) -> Notice:
    severity, title = _SEVERITIES[verdict.kind]
    name, colon, rest = verdict.text.partition(": ")
    is_named = bool(colon) and " " not in name  # the title says it
    text = f"{rest[0].upper()}{rest[1:]}" if is_named else verdict.text
    return Notice(severity, title, text, verdict.cure)


def _metrics(histories: Sequence[History]) -> list[str]:
    """Returns the metrics of the curves, whatever rows they are of: loss first, rates last."""
    metrics = dict.fromkeys(
        _metric(name)
        for each in histories
        for name, values in each.values.items()
        if np.isfinite(values).any()
    )
    return sorted(metrics, key=lambda each: (each != "loss", direction(each) == 0))


def _metric(name: str) -> str:
    return name.rpartition("/")[2]


def _label(name: str) -> str:
    part, _, metric = name.rpartition("/")
    return f"{_PARTS.get(part, part)} {metric.replace('_', ' ')}".strip()


def _plot(metric: str, findings: CurvesFindings) -> Plot:
    """Returns the curves of a metric, of all runs."""
    own, *others = findings.histories
    figure = go.Figure()
    for place, history in enumerate(others[: _MOST_RUNS - 1]):
        figure.add_traces(_dotted(history, metric, SERIES[2 + place % 3]))
    for name in _curves_of(own, metric):
        part = name.rpartition("/")[0]
        look = {"color": _COLORS.get(part, SERIES[3]), "width": 2.5}
        label = _part(name) or plot_text(metric.replace("_", " "))
        figure.add_trace(_line(own, name, label, look))
    _mark_best(figure, own)
    title = plot_text(metric.replace("_", " "))
    figure.update_layout(xaxis_title=findings.unit, yaxis_title=title, showlegend=True)
    if _is_wide(findings.histories, metric):
        figure.update_yaxes(type="log")
    return Plot(figure, _caption(metric, findings), _seen(metric, own, findings.unit))


def _curves_of(history: History, metric: str) -> list[str]:
    return [
        name
        for name, values in history.values.items()
        if _metric(name) == metric and np.isfinite(values).any()
    ]


def _dotted(history: History, metric: str, color: str) -> list[go.Scatter]:
    """Returns an earlier run's curve: on validation rows where there are such."""
    names = _curves_of(history, metric)
    held_out = [name for name in names if name.startswith("validation/")]
    version = plot_text(history.name.rpartition("/")[2], 16)
    look = {"color": color, "width": 1.5, "dash": "dot"}
    return [
        _line(history, name, f"version {version}, {_part(name)}".rstrip(", "), look)
        for name in (held_out or names)[:1]
    ]


def _part(name: str) -> str:
    part = name.rpartition("/")[0]
    return plot_text(_PARTS.get(part, part), 16)


def _line(history: History, name: str, label: str, look: dict[str, object]) -> go.Scatter:
    values = history.values[name]
    best = best_place(history)
    own = direction(name) * values
    keep = [int(np.where(np.isfinite(own), own, np.inf).argmin())]
    places = thinned(values, _MOST_POINTS, keep if best is None else [*keep, best])
    return go.Scatter(
        x=history.epochs[places],
        y=[float(f"{each:.6g}") for each in values[places]],
        name=label,
        mode="lines+markers" if len(places) <= 2 else "lines",
        line=look,
    )


def _mark_best(figure: go.Figure, history: History) -> None:
    best = best_place(history)
    if best is None:
        return
    figure.add_vline(
        int(history.epochs[best]),
        line={"color": INK, "dash": "dash", "width": 1},
        annotation={"text": f"best: {history.epochs[best]}", "font": {"color": MUTED}},
        annotation_position="top right" if best < len(history.epochs) / 2 else "top left",
    )


def _is_wide(histories: Sequence[History], metric: str) -> bool:
    """Whether positive values differ so much that a linear axis hides the small ones."""
    if direction(metric) < 0:
        return False
    values = np.concatenate([h.values[n] for h in histories for n in _curves_of(h, metric)])
    finite = values[np.isfinite(values)]
    return bool(finite.min() > 0 and finite.max() > _WIDE_RANGE * finite.min())


def _caption(metric: str, findings: CurvesFindings) -> str:
    name = metric.replace("_", " ").capitalize()
    if not direction(metric):
        return f"{name} by {findings.unit}."
    better = "smaller" if direction(metric) > 0 else "larger"
    return (
        f"{name} by {findings.unit}; {better} is better. Curves that part, training getting better "
        "and validation worse: overfitting. Both still moving at the end: train longer."
    )


def _seen(metric: str, history: History, unit: str) -> str:
    """Returns where the model's own curves begin and end."""
    told = list(_ends(metric, history))
    return f"Lines by {unit}: {'; '.join(told)}." if told else f"Lines by {unit}."


def _ends(metric: str, history: History) -> Iterator[str]:
    for name in _curves_of(history, metric):
        values = history.values[name][np.isfinite(history.values[name])]
        yield f"{_label(name)} from {number(float(values[0]))} to {number(float(values[-1]))}"


def _table(runs: Sequence[RunCurves], unit: str) -> Table:
    """Returns the best of the curves that judge, those on validation rows first."""
    judged = dict.fromkeys(e.name for run in runs for e in run.curves if direction(e.name))
    names = sorted(judged, key=lambda each: not each.startswith("validation/"))[:_MOST_BEST]
    rows: list[list[Cell]] = [
        [
            *(shortened(run.model_version.rpartition("/")[2], 20), run.epoch_count),
            run.best_epoch,
            *(next((e.best for e in run.curves if e.name == name), None) for name in names),
        ]
        for run in runs
    ]
    columns = ["Version", f"{unit.capitalize()}s", f"Best {unit}", *map(_best_label, names)]
    return Table(columns, rows, "The runs, this model's own first; the best of each curve.")


def _best_label(name: str) -> str:
    return shortened(f"Best {_label(name)}", 40)

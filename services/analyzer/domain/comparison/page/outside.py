"""The sections that show shifts of importance, curves under disturbance, and training curves."""

from collections.abc import Sequence

from plotly import graph_objects as go

from common.reports.report import Cell, Part, Plot, Section, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import MUTED, SERIES
from services.analyzer.domain.comparison.curves import CurveComparison
from services.analyzer.domain.comparison.importance import ImportanceComparison
from services.analyzer.domain.comparison.page.style import intervals, lines, marker_of
from services.analyzer.domain.comparison.robustness import RobustnessComparison
from services.analyzer.domain.comparison.summary import (
    ImportanceShift,
    RobustnessCurves,
    TrainingCurves,
)
from services.analyzer.domain.comparison.versions import Version, beginning

_MOST_COLUMNS = 15
_MOST_NAMED = 3
_ROW_HEIGHT = 34
_MARGINS = 120


def show_importance(found: ImportanceComparison) -> Section:
    """Returns the section."""
    pairs = list(zip(found.versions[1:], found.shifts, strict=True))
    told = " ".join(_shift_words(version, shifts) for version, shifts in pairs)
    shift_plots = [_shift_plot(version, shifts) for version, shifts in pairs]
    return Section("What they go by", [told, _importance_plot(found), *shift_plots])


def _shift_words(version: Version, shifts: Sequence[ImportanceShift]) -> str:
    label = beginning(version.label)
    clear = [each for each in shifts if each.is_clear]
    if not clear:
        return f"{label} goes by the same columns as the baseline, as far as these rows can tell."
    more = [each.column for each in clear if each.difference > 0]
    less = [each.column for each in clear if each.difference < 0]
    told = []
    if more:
        told.append(f"more by {_named(more)}")
    if less:
        told.append(f"less by {_named(less)}")
    return f"{label} goes {' and '.join(told)}."


def _named(columns: Sequence[str]) -> str:
    named = ", ".join(shortened(name, 40) for name in columns[:_MOST_NAMED])
    return named + (f" and {len(columns) - _MOST_NAMED} more" if len(columns) > _MOST_NAMED else "")


def _importance_plot(found: ImportanceComparison) -> Plot:
    names = list(dict.fromkeys(name for own in found.importance for name in own))
    most = {name: max(own[name].mean for own in found.importance if name in own) for name in names}
    shown = sorted(names, key=lambda name: -most[name])[:_MOST_COLUMNS]
    figure = go.Figure()
    for place, (version, own) in enumerate(zip(found.versions, found.importance, strict=True)):
        items = [own[name] for name in shown if name in own]
        figure.add_scatter(
            x=[each.mean for each in items],
            y=[plot_text(each.name, 40) for each in items],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [each.high - each.mean for each in items],
                "arrayminus": [each.mean - each.low for each in items],
                "thickness": 1,
            },
            mode="markers",
            name=plot_text(version.label, 40),
            marker=marker_of(place),
        )
    figure.update_yaxes(autorange="reversed", type="category")
    height = _MARGINS + _ROW_HEIGHT * max(3, len(shown))
    figure.update_layout(
        xaxis_title="fall of the metric", height=height, showlegend=True, scattermode="group"
    )
    caption = (
        "How far the metric of each version falls when a column is permuted, with 95 % confidence "
        "intervals: the farther right, the more it goes by the column."
    )
    best = shortened(shown[0], 60)
    columns = ("Column", *(each.label for each in found.versions))
    rows: list[list[Cell]] = [
        [name, *(own[name].mean if name in own else None for own in found.importance)]
        for name in shown
    ]
    seen = f"Some version goes by {best} most."
    return Plot(figure, caption, seen, Table(columns, rows, caption))


def _shift_plot(version: Version, shifts: Sequence[ImportanceShift]) -> Plot:
    shown = shifts[:_MOST_COLUMNS]
    rows = [(each.column, (each.difference, each.low, each.high)) for each in shown]
    colors = [_shift_color(each) for each in shown]
    figure = intervals(rows, "change of importance", colors)
    caption = (
        f"How {version.label} differs from the baseline in what it goes by: columns right of the "
        "line gained, left of it lost importance. Those in grey may be chance."
    )
    return Plot(figure, caption, _shift_words(version, shifts))


def _shift_color(shift: ImportanceShift) -> str:
    if not shift.is_clear:
        return MUTED
    return SERIES[2] if shift.difference > 0 else SERIES[1]


def show_robustness(found: RobustnessComparison) -> Section:
    """Returns the section."""
    told = " ".join(
        _fall_words(version, place, found) for place, version in enumerate(found.versions[1:])
    )
    parts: list[Part] = [told]
    parts += [_disturbance_plot(found, each) for each in found.curves]
    return Section("How they bear disturbed rows", [*parts, _falls_table(found)])


def _fall_words(version: Version, place: int, found: RobustnessComparison) -> str:
    label, falls = beginning(version.label), found.falls[place]
    worse = [each.disturbance for each in falls if each.is_clear and each.difference > 0]
    better = [each.disturbance for each in falls if each.is_clear and each.difference < 0]
    told = []
    if worse:
        told.append(f"suffers more than the baseline from {_named(worse)}")
    if better:
        told.append(f"suffers less than the baseline from {_named(better)}")
    if not told:
        return f"{label} bears disturbed rows about as well as the baseline."
    return f"{label} {' and '.join(told)}."


def _disturbance_plot(found: RobustnessComparison, curves: RobustnessCurves) -> Plot:
    labels = {each.name: (place, each.label) for place, each in enumerate(found.versions)}
    drawn = [(*labels[each.model_version], curves.steps, each.values) for each in curves.versions]
    figure = lines(drawn, plot_text(curves.unit), found.metric.label)
    caption = (
        f"{curves.disturbance.capitalize()}: the {found.metric.label} of all versions on the same "
        f"{found.rows:,} rows, more and more disturbed."
    )
    ends = "; ".join(
        f"{label} from {number(values[0])} to {number(values[-1])}" for _, label, _, values in drawn
    )
    return Plot(figure, caption, f"{ends}.")


def _falls_table(found: RobustnessComparison) -> Table:
    rows: list[list[Cell]] = [
        [
            version.label,
            each.disturbance,
            each.step,
            each.difference,
            each.low,
            each.high,
            "yes" if each.is_clear else "no",
        ]
        for version, falls in zip(found.versions[1:], found.falls, strict=True)
        for each in falls
    ]
    columns = ("Version", "Disturbance", "Step", "Falls more by", "From", "To", "Clear")
    caption = (
        "How much more the metric falls than the baseline's at the middle step, with 95 % "
        "confidence intervals; clear where it is no chance (Holm)."
    )
    return Table(columns, rows, caption)


def show_curves(found: CurveComparison) -> Section:
    """Returns the section."""
    plots = [_training_plot(found, each) for each in found.curves]
    return Section("Training curves together", [_curves_words(found), *plots])


def _curves_words(found: CurveComparison) -> str:
    losses = [each for each in found.curves if each.metric.endswith("loss")]
    chosen = next((each for each in losses if "validation" in each.metric), None)
    if chosen is None:
        return "The curves of the versions' trainings, epoch by epoch."
    best = min(chosen.versions, key=lambda each: min(each.values))
    label = beginning(found.labels[best.model_version])
    epoch = best.epochs[best.values.index(min(best.values))]
    return (
        f"{label} reached the lowest {chosen.metric}, {number(min(best.values))} in epoch {epoch}."
    )


def _training_plot(found: CurveComparison, curves: TrainingCurves) -> Plot:
    places = {name: place for place, name in enumerate(found.labels)}
    drawn = [
        (
            places[each.model_version],
            found.labels[each.model_version],
            [float(epoch) for epoch in each.epochs],
            each.values,
        )
        for each in curves.versions
    ]
    figure = lines(drawn, "epoch", plot_text(curves.metric))
    ends = "; ".join(f"{label} ends at {number(values[-1])}" for _, label, _, values in drawn)
    return Plot(figure, f"{shortened(curves.metric)} of the trainings.", f"{ends}.")

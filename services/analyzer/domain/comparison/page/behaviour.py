"""The section that shows how versions do on the same rows."""

from collections.abc import Sequence

from plotly import graph_objects as go

from common.reports.report import Cell, Part, Plot, Section, Table
from common.reports.text import number, plot_text
from common.reports.theme import MUTED, SERIES
from services.analyzer.domain.comparison.behaviour import BehaviourComparison, ChallengerBehaviour
from services.analyzer.domain.comparison.differences import ALPHA
from services.analyzer.domain.comparison.page.rows import shown_rows
from services.analyzer.domain.comparison.page.style import heat_map, intervals
from services.analyzer.domain.comparison.summary import (
    Agreement,
    ClassChange,
    Difference,
    MetricValue,
    SliceChange,
)
from services.analyzer.domain.comparison.verdict import p_words, rows_words
from services.analyzer.domain.comparison.versions import beginning
from services.analyzer.domain.metrics import Metric

_GAINED, _LOST = SERIES[2], SERIES[1]
_MOST_CLASSES = 25
_ROW_HEIGHT = 26
_MARGINS = 120


def show_behaviour(found: BehaviourComparison) -> Section:
    """Returns the section."""
    title = "How they do on the same rows"
    if not found.challengers:
        return Section(title, _agreement(found))
    below = [
        Section("Metrics and their differences", _metrics(found)),
        Section("Rows that changed", _rows(found)),
        *_optional("Classes that changed", _classes(found)),
        Section("Slices that got better or worse", _slices(found)),
        Section("How far they agree", _agreement(found)),
    ]
    return Section(title, [_headline(found), *_main_plot(found)], subsections=below)


def _optional(title: str, parts: Sequence[Part]) -> list[Section]:
    return [Section(title, parts)] if parts else []


def _headline(found: BehaviourComparison) -> str:
    baseline = found.versions.baseline.label
    told = []
    for each in found.challengers:
        rows = each.rows.summary
        told.append(
            f"{beginning(each.version.label)} gets {rows_words(rows.gained)} right that {baseline} "
            f"gets wrong, and {rows.lost:,} wrong that {baseline} gets right"
            if found.versions.classes_are_predicted
            else f"{beginning(each.version.label)} is clearly nearer to the truth than {baseline} "
            f"in {rows_words(rows.gained)}, and clearly farther in {rows.lost:,}"
        )
    return f"{'; '.join(told)}; of {rows_words(found.versions.sample.count)}."


def _main_plot(found: BehaviourComparison) -> list[Part]:
    """Returns the differences on the metric of the comparison: what is right of 0 is better."""
    judged = [each for each in found.challengers if each.judgement]
    if not judged:
        return []
    metric = found.versions.baseline.subject.settings.metric
    margin = judged[0].judgement.margin if judged[0].judgement else None
    rows = [(each.version.label, _gain(each, metric)) for each in judged]
    colors = [_color(each, metric) for each in judged]
    word = "less" if metric.is_loss else "more"
    figure = intervals(rows, f"{word} {metric.label} than the baseline", colors, margin)
    baseline = found.versions.baseline.label
    caption = (
        f"Differences to {baseline} on the same rows, with 95 % confidence intervals: right of the "
        "line is better. An interval wholly right of the dashed line is as good within the margin"
        + (
            "; for the number of challengers, the verdict asks for a little more."
            if judged[1:]
            else "."
        )
    )
    seen = "; ".join(
        f"{label}: {number(value)}, from {number(low)} to {number(high)}"
        for label, (value, low, high) in rows
    )
    return [Plot(figure, caption, f"{seen}.")]


def _gain(challenger: ChallengerBehaviour, metric: Metric) -> tuple[float, float, float]:
    found = next(each for each in challenger.differences if each.metric == metric)
    low = found.difference if found.low is None else found.low
    high = found.difference if found.high is None else found.high
    return (-found.difference, -high, -low) if metric.is_loss else (found.difference, low, high)


def _color(challenger: ChallengerBehaviour, metric: Metric) -> str:
    found = next(each for each in challenger.differences if each.metric == metric)
    if found.adjusted_p_value is None or found.adjusted_p_value >= ALPHA:
        return MUTED
    return _GAINED if _gain(challenger, metric)[0] > 0 else _LOST


def _metrics(found: BehaviourComparison) -> list[Part]:
    labels = [each.label for each in found.versions.all]
    names = list(dict.fromkeys(each.metric for own in found.metrics for each in own))
    by_version = [{each.metric: each for each in own} for own in found.metrics]
    rows: list[list[Cell]] = [
        [_metric_label(name), *(_with_interval(own.get(name)) for own in by_version)]
        for name in names
    ]
    table = Table(("Metric", *labels), rows, "Metrics with their 95 % confidence intervals.")
    return [table, *(_differences(found, each) for each in found.challengers)]


def _metric_label(name: str) -> str:
    return {"r2": "R²", "roc_auc": "area under the ROC curve"}.get(name, name.replace("_", " "))


def _with_interval(metric: MetricValue | None) -> Cell:
    if metric is None:
        return None
    if metric.low is None or metric.high is None:
        return number(metric.value)
    return f"{number(metric.value)} ({number(metric.low)} to {number(metric.high)})"


def _differences(found: BehaviourComparison, challenger: ChallengerBehaviour) -> Table:
    rows = [_difference_row(each) for each in challenger.differences]
    columns = ("Metric", "Difference", "From", "To", "Test", "p", "p corrected")
    caption = (
        f"{beginning(challenger.version.label)} less {found.versions.baseline.label}, with 95 % "
        "confidence intervals; corrected for the number of challengers (Holm)."
    )
    return Table(columns, rows, caption)


def _difference_row(found: Difference) -> list[Cell]:
    return [
        _metric_label(found.metric),
        found.difference,
        found.low,
        found.high,
        found.test or None,
        found.p_value,
        found.adjusted_p_value,
    ]


def _rows(found: BehaviourComparison) -> list[Part]:
    parts: list[Part] = [_counts(found)]
    baseline = found.versions.baseline.label
    for each in found.challengers:
        rows, labels = each.rows, (baseline, each.version.label)
        gained = f"Rows that {each.version.label} gained, the clearest first."
        lost = f"Rows that {each.version.label} lost, the clearest first."
        sample = found.versions.sample
        parts += shown_rows(sample, rows.summary.gained_rows, rows.gained, labels, gained)
        parts += shown_rows(sample, rows.summary.lost_rows, rows.lost, labels, lost)
    return parts


def _counts(found: BehaviourComparison) -> Part:
    labels = [each.version.label for each in found.challengers]
    counts = [each.rows.summary for each in found.challengers]
    if not any(each.gained or each.lost for each in counts):
        return f"No version gained or lost a row, of {counts[0].row_count:,}."
    figure = go.Figure(
        [
            _bar("gained", [each.gained for each in counts], labels, _GAINED),
            _bar("lost", [-each.lost for each in counts], labels, _LOST),
        ]
    )
    height = _MARGINS + 2 * _ROW_HEIGHT * max(2, len(labels))
    figure.update_layout(barmode="relative", xaxis_title="rows lost and gained", height=height)
    figure.update_yaxes(autorange="reversed", type="category")
    what = (
        "Rows that a version has right and the baseline has not (gained), and the other way round "
        "(lost)."
        if found.versions.classes_are_predicted
        else "Rows whose error fell (gained) or grew (lost) by more than a tenth of the target's "
        "standard deviation."
    )
    seen = "; ".join(
        f"{label} gained {each.gained:,} and lost {each.lost:,} of {each.row_count:,}"
        for label, each in zip(labels, counts, strict=True)
    )
    numbers = Table(
        ("Version", "Gained", "Lost", "Both wrong, otherwise", "Rows"),
        [
            [label, each.gained, each.lost, each.wrong_otherwise, each.row_count]
            for label, each in zip(labels, counts, strict=True)
        ],
        what,
    )
    return Plot(figure, what, f"{seen}.", numbers)


def _bar(name: str, counts: Sequence[float], labels: Sequence[str], color: str) -> go.Bar:
    return go.Bar(
        x=list(counts),
        y=[plot_text(label, 40) for label in labels],
        name=name,
        orientation="h",
        marker={"color": color},
    )


def _classes(found: BehaviourComparison) -> list[Part]:
    return [
        _class_plot(each.version.label, each.classes[:_MOST_CLASSES])
        for each in found.challengers
        if any(change.challenger != change.baseline for change in each.classes)
    ]


def _class_plot(label: str, changes: Sequence[ClassChange]) -> Plot:
    values = [each.challenger - each.baseline for each in changes]
    colors = [
        MUTED if each.adjusted_p_value >= ALPHA else _GAINED if value > 0 else _LOST
        for each, value in zip(changes, values, strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[plot_text(each.label, 40) for each in changes],
            orientation="h",
            marker={"color": colors},
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        xaxis_title="change of the share that is right",
        height=_MARGINS + _ROW_HEIGHT * max(2, len(changes)),
    )
    caption = (
        f"How the share of each class that is right changed with {label}, the largest change "
        "first. Changes in grey may be chance (McNemar's test, corrected for the classes)."
    )
    largest = changes[0]
    seen = (
        f"The largest change is that of {largest.label}, from {number(largest.baseline)} to "
        f"{number(largest.challenger)}."
    )
    return Plot(figure, caption, seen, _class_table(changes, caption))


def _class_table(changes: Sequence[ClassChange], caption: str) -> Table:
    columns = ("Class", "Rows", "Baseline", "Challenger", "Gained", "Lost", "p corrected")
    rows: list[list[Cell]] = [
        [
            each.label,
            each.row_count,
            each.baseline,
            each.challenger,
            each.gained,
            each.lost,
            each.adjusted_p_value,
        ]
        for each in changes
    ]
    return Table(columns, rows, caption)


def _slices(found: BehaviourComparison) -> list[Part]:
    parts: list[Part] = []
    for each in found.challengers:
        label = each.version.label
        if each.slices.worse:
            parts.append(_slice_table(each.slices.worse, f"Where {label} got worse."))
        if each.slices.better:
            parts.append(_slice_table(each.slices.better, f"Where {label} got better."))
    if parts:
        return parts
    return ["No rows with something in common changed clearly more than the others."]


def _slice_table(slices: Sequence[SliceChange], caption: str) -> Table:
    columns = ("Rows with", "Rows", "Difference there", "Difference elsewhere", "p")
    rows: list[list[Cell]] = [
        [
            each.condition,
            each.row_count,
            each.difference,
            each.elsewhere,
            p_words(each.adjusted_p_value),
        ]
        for each in slices
    ]
    return Table(columns, rows, f"{caption} Differences above 0 are better.")


def _agreement(found: BehaviourComparison) -> list[Part]:
    versions = found.versions.all
    alike = {(each.first, each.second): each for each in found.agreements}
    if len(versions) == 2:
        return [_agreement_words(found, found.agreements[0])]
    values = [
        [1.0 if one is two else _agreed(alike, one.name, two.name) for two in versions]
        for one in versions
    ]
    labels = [each.label for each in versions]
    least = min((each.agreement or 0.0 for each in found.agreements), default=0.0)
    what = _agreement_kind(found)
    closest = max(found.agreements, key=lambda each: each.agreement or 0.0)
    seen = f"{_agreement_words(found, closest)} No two agree more."
    return [heat_map(values, labels, labels, f"{what} for each two versions.", seen, least=least)]


def _agreed(alike: dict[tuple[str, str], Agreement], first: str, second: str) -> float | None:
    return (alike.get((first, second)) or alike[(second, first)]).agreement


def _agreement_kind(found: BehaviourComparison) -> str:
    if found.versions.classes_are_predicted:
        return "Share of rows for which the same is predicted,"
    return "Correlation of what is predicted,"


def _agreement_words(found: BehaviourComparison, agreement: Agreement) -> str:
    labels = {each.name: each.label for each in found.versions.all}
    first, second = labels[agreement.first], labels[agreement.second]
    if agreement.agreement is None:
        return f"One of {first} and {second} always predicts the same."
    if found.versions.classes_are_predicted:
        share = f"{100 * agreement.agreement:.1f} %"
        return f"{beginning(first)} and {second} predict the same for {share} of the rows."
    return f"Values of {first} and {second} correlate with {number(agreement.agreement)}."

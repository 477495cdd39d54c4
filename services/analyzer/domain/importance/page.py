"""The section of the report that shows what a model goes by."""

from collections.abc import Sequence

from common.reports.report import Bar, Bars, Cell, Part, Plot, Section, Table
from common.reports.text import shortened
from services.analyzer.domain.importance.findings import FeatureImportance, ImportanceFindings
from services.analyzer.domain.importance.overlays import overlays
from services.analyzer.domain.importance.plots import (
    bars_plot,
    lags_plot,
    single_plot,
    swarm_plot,
    tokens_plot,
)
from services.analyzer.domain.importance.texts import ReadText, TextImportance
from services.analyzer.domain.importance.words import (
    agreement_text,
    headline,
    images_text,
    method_label,
)

_SHOWN = 20
_LISTED = 200
_HEAVY_TOKENS = 8
_TEXT = 300


def show_importance(findings: ImportanceFindings) -> Section:
    """Returns the section."""
    below = [
        _permutation(findings),
        _shapley(findings),
        _gradients(findings),
        _lags(findings),
        _texts(findings),
        _images(findings),
        _agreement(findings),
    ]
    return Section(
        "Feature importance",
        [headline(findings)],
        note=" ".join(findings.notes),
        subsections=[each for each in below if each is not None],
    )


def _permutation(findings: ImportanceFindings) -> Section | None:
    known = [(each.column, each.permutation) for each in findings.features]
    effects = [(name, each) for name, each in known if each is not None]
    if not effects:
        return None
    metric = findings.metric.label
    change = "rises" if findings.metric.is_loss else "falls"
    summary = findings.summary
    caption = (
        f"How far {metric} {change} when a column's values are shuffled, over {summary.repeats} "
        f"repeats on {summary.permuted_row_count:,} rows. Whiskers are 95 % intervals, over rows "
        "and repeats: a column whose whisker crosses 0 may not matter at all."
    )
    shown = effects[:_SHOWN]
    plot = bars_plot(
        [name for name, _ in shown],
        [each.mean for _, each in shown],
        f"{metric} {change} by",
        caption,
        [(each.low, each.high) for _, each in shown],
    )
    rows: list[list[Cell]] = [
        [name, each.mean, each.low, each.high] for name, each in effects[_SHOWN:_LISTED]
    ]
    parts: list[Part] = [plot]
    if rows:
        headings = ["Column", f"{metric} {change} by", "From", "To"]
        parts.append(Table(headings, rows, "The columns that follow."))
    return Section("Permutation: what the metric needs", parts)


def _shapley(findings: ImportanceFindings) -> Section | None:
    swarm = findings.swarm
    if swarm is None:
        return None
    unit = findings.summary.shapley_unit
    towards = _towards(findings)
    caption = (
        f"Shapley values of {len(swarm.values):,} rows: each point is a row, to the right where "
        f"the column's value raises the output for {towards}, to the left where it lowers it. "
        "Colour tells whether the value is low or high in its column."
    )
    parts: list[Part] = [swarm_plot(swarm, unit, towards, caption)]
    parts += [single_plot(single, unit) for single in findings.singles]
    return Section("Shapley values: what moves the output", parts)


def _towards(findings: ImportanceFindings) -> str:
    if findings.is_second_class:
        return findings.outputs[1]
    return findings.outputs[0] if len(findings.outputs) == 1 else "what is predicted"


def _gradients(findings: ImportanceFindings) -> Section | None:
    known = [(each.column, each.integrated_gradients) for each in findings.features]
    sizes = sorted(((n, s) for n, s in known if s is not None), key=lambda each: -each[1])
    if not sizes:
        return None
    caption = (
        "Mean size of integrated gradients, from the mean of each number and an unknown category, "
        f"over {findings.summary.gradients_row_count:,} rows.{_completeness(findings)}"
    )
    names, values = zip(*sizes[:_SHOWN], strict=True)
    return Section("Integrated gradients", [bars_plot(names, values, "mean size", caption)])


def _completeness(findings: ImportanceFindings) -> str:
    error = findings.summary.completeness_error
    if error is None:
        return ""
    return (
        f" Contributions miss the difference of outputs that they should add up to by {error:.1%}."
    )


def _lags(findings: ImportanceFindings) -> Section | None:
    series = findings.summary.series
    if not series:
        return None
    plots: list[Plot] = [lags_plot(each, findings.metric.label) for each in series]
    return Section("Importance by lag", plots)


def _texts(findings: ImportanceFindings) -> Section | None:
    parts: list[Part] = []
    for text in findings.texts:
        if text.tokens:
            parts += [tokens_plot(text, _towards(findings)), _texts_table(text)]
    return Section("Words", parts) if parts else None


def _texts_table(text: TextImportance) -> Table:
    rows: list[list[Cell]] = [
        [each.row, each.output, shortened(" ".join(each.tokens), _TEXT), _heavy(each)]
        for each in text.texts
    ]
    caption = (
        f"{text.column}: texts in which single words matter most, and what the output loses "
        "without each of them."
    )
    return Table(["Row", "Output", "Text", "Heaviest words"], rows, caption)


def _heavy(text: ReadText) -> Bars:
    pairs = sorted(zip(text.tokens, text.weights, strict=True), key=lambda each: -abs(each[1]))
    largest = max((abs(weight) for _, weight in pairs), default=0.0) or 1.0
    return Bars(
        tuple(
            Bar(shortened(token, 30), abs(weight) / largest, f"{weight:+.3g}")
            for token, weight in pairs[:_HEAVY_TOKENS]
        )
    )


def _images(findings: ImportanceFindings) -> Section | None:
    if findings.images is None:
        return None
    parts: list[Part] = [images_text(findings.images), overlays(findings.images)]
    if findings.images.completeness_error is not None:
        parts.append(_completeness(findings).strip())
    return Section("What in the image counts", parts)


def _agreement(findings: ImportanceFindings) -> Section | None:
    agreements = findings.summary.agreements
    if not agreements:
        return None
    methods = list(dict.fromkeys(name for each in agreements for name in (each.first, each.second)))
    ranks = {name: _ranks(findings.features, name) for name in methods}
    rows: list[list[Cell]] = [
        [each.column, *(ranks[name].get(each.column) for name in methods)]
        for each in findings.features[:_SHOWN]
    ]
    table = Table(
        ["Column", *(f"Rank by {method_label(name)}" for name in methods)],
        rows,
        "Ranks of the most important columns by each method; 1 is the most important.",
    )
    return Section("Do the methods agree?", [agreement_text(agreements), table])


def _ranks(features: Sequence[FeatureImportance], method: str) -> dict[str, int]:
    known = [(each.column, _size(each, method)) for each in features]
    sizes = [(name, size) for name, size in known if size is not None]
    order = sorted(sizes, key=lambda each: -each[1])
    return {name: place + 1 for place, (name, _) in enumerate(order)}


def _size(feature: FeatureImportance, method: str) -> float | None:
    if method == "permutation":
        return None if feature.permutation is None else feature.permutation.mean
    found: float | None = getattr(feature, method)
    return found

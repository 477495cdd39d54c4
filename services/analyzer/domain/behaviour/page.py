"""The section of the report that shows how a model behaves on the rows."""

from common.data.schema import Task
from common.reports.report import Part, Section, Table
from services.analyzer.domain.behaviour.analysis import BehaviourFindings
from services.analyzer.domain.behaviour.class_plots import (
    answers_plot,
    classes_plot,
    confusion_plot,
    pairs_table,
    shares_plot,
)
from services.analyzer.domain.behaviour.error_plots import (
    histogram_plot,
    outliers_plot,
    quantiles_plot,
    residuals_plot,
    slices_plot,
    truth_plot,
)
from services.analyzer.domain.behaviour.probability_plots import (
    calibration_plot,
    calibration_text,
    cost_plot,
    precision_plot,
    roc_plot,
    scores_plot,
    thresholds_table,
)
from services.analyzer.domain.behaviour.row_views import rows_gallery, rows_table
from services.analyzer.domain.behaviour.words import headline, metric_label, outliers_text
from services.analyzer.domain.slices import are_enough

_NO_SLICES = (
    "No slice of the rows is clearly worse than the rest: none of the conditions that were tried, "
    "on one or two columns, passed the test on rows that it was not found on."
)
_TOO_FEW_ROWS = "There are too few rows to tell whether some of them are worse than the rest."


def show_behaviour(findings: BehaviourFindings) -> Section:
    """Returns the section."""
    parts: list[Part] = [headline(findings.summary, findings.task, findings.target)]
    if findings.summary.metrics:
        parts.append(_metrics(findings))
    below = [
        _confusion(findings),
        _classes(findings),
        _residuals(findings),
        _calibration(findings),
        _thresholds(findings),
        _slices(findings),
        _rows(findings),
        _outliers(findings),
        _answers(findings),
    ]
    return Section(
        "Behaviour on the rows",
        parts,
        note=" ".join(findings.notes),
        subsections=[each for each in below if each is not None],
    )


def _metrics(findings: BehaviourFindings) -> Table:
    rows = [
        (metric_label(each.name), each.value, each.low, each.high)
        for each in findings.summary.metrics
    ]
    columns = ("Metric", "Value", "95 % from", "to")
    rows_told = f"{findings.summary.row_count:,} rows"
    return Table(columns, rows, f"Metrics on {rows_told}, with 95 % confidence intervals.")


def _confusion(findings: BehaviourFindings) -> Section | None:
    if findings.confusion is None:
        return None
    parts: list[Part] = [confusion_plot(findings.confusion)]
    if findings.confusion.summary.pairs:
        parts.append(pairs_table(findings.confusion.summary.pairs))
    return Section("What is taken for what", parts)


def _classes(findings: BehaviourFindings) -> Section | None:
    if not findings.summary.classes:
        return None
    what = "label" if findings.task is Task.MULTI_LABEL else "class"
    return Section(f"Each {what} by itself", [classes_plot(findings.summary.classes, what)])


def _residuals(findings: BehaviourFindings) -> Section | None:
    off = findings.residuals
    if off is None:
        return None
    parts = [residuals_plot(off), histogram_plot(off), quantiles_plot(off), truth_plot(off)]
    return Section("How far off, and where", parts)


def _calibration(findings: BehaviourFindings) -> Section | None:
    found = findings.summary.calibration
    if found is None:
        return None
    names = findings.confusion.summary.classes if findings.confusion else ()
    second = names[1] if len(names) == 2 else ""
    parts: list[Part] = [calibration_text(found), calibration_plot(found, second)]
    return Section("Do probabilities mean what they say", parts)


def _thresholds(findings: BehaviourFindings) -> Section | None:
    curves = findings.curves
    if not curves:
        return None
    plots = [roc_plot(curves), precision_plot(curves), scores_plot(curves), cost_plot(curves)]
    parts: list[Part] = [thresholds_table(curves), *plots]
    return Section("What other thresholds would give", parts)


def _slices(findings: BehaviourFindings) -> Section | None:
    summary = findings.summary
    if not summary.metrics:
        return None
    none = _NO_SLICES if are_enough(summary.row_count) else _TOO_FEW_ROWS
    return Section("Where it errs most", [slices_plot(summary) if summary.slices else none])


def _rows(findings: BehaviourFindings) -> Section | None:
    wrong = findings.wrong
    if wrong is None or not wrong.rows:
        return None
    parts: list[Part] = [rows_gallery(wrong)] if wrong.pictures else []
    return Section("The rows it gets most wrong", [*parts, rows_table(wrong, findings.task)])


def _outliers(findings: BehaviourFindings) -> Section | None:
    summary = findings.summary
    if summary.outliers is None:
        return None
    told = outliers_text(summary, summary.outliers)
    parts: list[Part] = [told, outliers_plot(summary, summary.outliers)]
    return Section("Outliers and errors", parts)


def _answers(findings: BehaviourFindings) -> Section:
    answers = findings.answers
    parts: list[Part] = [shares_plot(answers.shares)] if answers.shares else []
    if len(answers.counts):
        parts.append(answers_plot(answers, findings.task, findings.target))
    return Section("What it predicts", parts)

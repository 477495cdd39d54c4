"""Findings in words."""

from collections.abc import Callable, Mapping

from common.data.schema import Task
from common.reports.text import number, shortened
from services.analyzer.domain.behaviour.summary import (
    BehaviourSummary,
    ErrorSlice,
    MetricEstimate,
    OutlierErrors,
)

NAME_LENGTH = 40
_LEAST_P_VALUE = 1e-6
_LABELS = {"r2": "R²", "roc_auc": "area under the ROC curve", "macro_f1": "macro F1"} | {
    "micro_f1": "micro F1",
    "exact_match": "rows with all labels right",
}
_ERRORS = {
    "wrong": "share of rows that are wrong",
    "wrong_labels": "share of labels that are wrong",
    "absolute_error": "mean absolute error",
}


def percent(share: float) -> str:
    """Returns a share for people."""
    return f"{100 * share:.3g} %"


def metric_label(name: str) -> str:
    """Returns a metric's name for people."""
    return _LABELS.get(name, name.replace("_", " "))


def error_label(summary: BehaviourSummary) -> str:
    """Returns what the error of some rows is, for people."""
    return _ERRORS[summary.row_error]


def error_value(summary: BehaviourSummary, error: float) -> str:
    """Returns the mean error of some rows for people."""
    return number(error) if summary.row_error == "absolute_error" else percent(error)


def p_value_text(p_value: float) -> str:
    """Returns a p-value for people."""
    return f"{p_value:.2g}" if p_value >= _LEAST_P_VALUE else "below 0.000001"


def headline(summary: BehaviourSummary, task: Task, target: str) -> str:
    """Returns how good the model is, what it confuses most, and where it errs most."""
    metrics = {each.name: each for each in summary.metrics}
    if not metrics:
        return _predicted(summary)
    if task is Task.REGRESSION:
        told = _regression(summary, metrics, target)
    elif task is Task.MULTI_LABEL:
        told = _labels(summary, metrics)
    else:
        told = _classes(summary, metrics)
    return " ".join(each for each in (told, _worst_slice(summary)) if each)


def _classes(summary: BehaviourSummary, metrics: Mapping[str, MetricEstimate]) -> str:
    right = metrics["accuracy"]
    told = (
        f"The model is right for {percent(right.value)} of {summary.row_count:,} rows"
        f"{_between(right)}"
    )
    pairs = summary.confusion.pairs if summary.confusion else ()
    if not pairs:
        return f"{told}."
    pair = pairs[0]
    return (
        f"{told}; most often it takes {shortened(pair.truth, NAME_LENGTH)} for "
        f"{shortened(pair.predicted, NAME_LENGTH)}: {pair.rows:,} rows, {percent(pair.share)} of "
        "that class."
    )


def _labels(summary: BehaviourSummary, metrics: Mapping[str, MetricEstimate]) -> str:
    right, whole = metrics["accuracy"], metrics["exact_match"]
    told = (
        f"The model is right for {percent(right.value)} of labels{_between(right)}, and for all "
        f"labels of {percent(whole.value)} of {summary.row_count:,} rows"
    )
    scored = [(each.f1, each.name) for each in summary.classes if each.f1 is not None]
    if not scored:
        return f"{told}."
    score, name = min(scored)
    return f"{told}; it is worst at {shortened(name, NAME_LENGTH)} (F1 {number(score)})."


def _regression(
    summary: BehaviourSummary, metrics: Mapping[str, MetricEstimate], target: str
) -> str:
    off = metrics["mean_absolute_error"]
    told = (
        f"Predictions of {shortened(target, NAME_LENGTH) or 'the target'} are off by "
        f"{number(off.value)} on average over {summary.row_count:,} rows{_between(off, number)}"
    )
    if "r2" not in metrics:
        return f"{told}."
    share = metrics["r2"].value
    if share <= 0:
        return f"{told}; its mean would be as good a guess (R² {number(share)})."
    return f"{told}; they explain {percent(share)} of its variance."


def _between(metric: MetricEstimate, told: Callable[[float], str] = percent) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f" ({told(metric.low)} to {told(metric.high)} with 95 % confidence)"


def _worst_slice(summary: BehaviourSummary) -> str:
    if not summary.slices:
        return ""
    return f"It errs most where {slice_text(summary, summary.slices[0])}."


def slice_text(summary: BehaviourSummary, found: ErrorSlice) -> str:
    """Returns a slice with its errors: `age below 23.5: 40 % wrong of 320 rows, ...`."""
    inside = error_value(summary, found.error)
    outside = error_value(summary, found.error_elsewhere)
    if summary.row_error == "absolute_error":
        return f"{found.condition}: off by {inside} in {found.rows:,} rows, elsewhere by {outside}"
    what = "labels wrong" if summary.row_error == "wrong_labels" else "wrong"
    return f"{found.condition}: {inside} {what} of {found.rows:,} rows, elsewhere {outside}"


def _predicted(summary: BehaviourSummary) -> str:
    if not summary.outputs:
        low, middle, high = (summary.output_quantiles[place] for place in (1, 10, 19))
        return (
            f"Predictions for {summary.row_count:,} rows are between {number(low)} and "
            f"{number(high)} for nine of ten, {number(middle)} in the middle."
        )
    first = max(summary.outputs, key=lambda each: each.predicted)
    return (
        f"Of {summary.row_count:,} rows the model predicts {shortened(first.name, NAME_LENGTH)} "
        f"most often: for {percent(first.predicted)}."
    )


def outliers_text(summary: BehaviourSummary, found: OutlierErrors) -> str:
    """Returns what outliers have to do with errors."""
    inside = error_value(summary, found.error_marked)
    outside = error_value(summary, found.error_unmarked)
    told = (
        f"Among the {found.marked_rows:,} rows that the scan marks as outliers the "
        f"{error_label(summary)} is {inside}, among the others {outside}"
    )
    if found.ratio is not None:
        told += f": {number(found.ratio)} times as large{_ratio_between(found)}"
    if found.p_value >= 0.05:
        return f"{told}. The difference may be chance (p = {p_value_text(found.p_value)})."
    share = found.share_of_errors
    rest = f"; they have {percent(share)} of all errors" if share is not None else ""
    return f"{told}{rest}. This is hardly chance (p {_p_equals(found.p_value)})."


def _p_equals(p_value: float) -> str:
    told = p_value_text(p_value)
    return told if told.startswith("below") else f"= {told}"


def _ratio_between(found: OutlierErrors) -> str:
    if found.ratio_low is None or found.ratio_high is None:
        return ""
    return f" ({number(found.ratio_low)} to {number(found.ratio_high)} with 95 % confidence)"

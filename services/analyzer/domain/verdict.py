"""What an analysis comes to, in a few sentences for people."""

from collections.abc import Mapping, Sequence

import numpy as np

from common.data.schema import Task
from common.reports.text import number, shortened
from services.analyzer.domain.comparison.statistics import share_interval
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.health.rules import Finding, Grade
from services.analyzer.domain.metrics import Metric, Scorer, mean_interval, variance_of
from services.analyzer.domain.part import PartName, PartResult
from services.analyzer.domain.subject import Subject

_MOST_NAMED = 3


def verdict_of(
    subject: Subject, results: Mapping[PartName, PartResult], problems: Sequence[Finding]
) -> str:
    """Returns the sentences.

    Args:
        subject: What was analysed.
        results: What the parts found.
        problems: Problems and cures, the gravest first.

    Raises:
        UnusableModelError: The model gives no numbers.
    """
    sentences = [_quality(subject), _goes_by(results), _health(results, problems)]
    return " ".join(each for each in sentences if each)


def _quality(subject: Subject) -> str:
    """Says how good the model is on the rows."""
    rows = f"{subject.sample.count:,} rows of {subject.dataset_version}"
    task = subject.model.task
    try:
        metric = Metric.R2 if task is Task.REGRESSION else Metric.ACCURACY
        scores = Scorer(metric, task, subject.truth).rows(subject.outputs)
    except NotApplicableError:
        return f"The model was looked at on {rows}, which have no target to compare with."
    if metric is Metric.R2:
        return f"On {rows} the model {_explained(subject, float(scores.mean()))} on average."
    what = "labels" if task is Task.MULTI_LABEL else "rows"
    is_share = task is Task.CLASSIFICATION
    interval = (
        share_interval(round(scores.sum()), len(scores)) if is_share else mean_interval(scores)
    )
    return (
        f"The model gets {_percent(interval.value)} of the {what} right "
        f"({_percent(max(0.0, interval.low))} to {_percent(min(1.0, interval.high))}), on {rows}."
    )


def _explained(subject: Subject, share: float) -> str:
    """Says how much of the target's variance a model explains, and how far it is off."""
    truth = subject.truth.astype(np.float64)
    off = f"it is off by {number(float(np.abs(subject.outputs[:, 0] - truth).mean()))}"
    if variance_of(truth) == 0:
        return f"has nothing to explain, as the target is the same in all; {off}"
    if share <= 0:
        return f"is no better than always saying the mean of the target; {off}"
    return f"explains {_percent(share)} of the variance of the target; {off}"


def _goes_by(results: Mapping[PartName, PartResult]) -> str:
    """Names what the model goes by."""
    importance = results.get(PartName.IMPORTANCE)
    features = importance.summary.features if importance is not None else ()
    measured = [each for each in features if each.permutation is not None]
    strong = [each.column for each in measured if each.permutation.low > 0]
    if not strong:
        return ""
    names = ", ".join(f"`{shortened(name, 40)}`" for name in strong[:_MOST_NAMED])
    return f"It goes by {names} above all."


def _health(results: Mapping[PartName, PartResult], problems: Sequence[Finding]) -> str:
    if PartName.HEALTH not in results:
        return ""
    counts = {grade: sum(each.severity is grade for each in problems) for grade in Grade}
    words = [
        f"{count} {grade}{'s' if count > 1 else ''}" for grade, count in counts.items() if count
    ]
    return f"Health: {', '.join(words)}." if words else "Its health rules found nothing."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

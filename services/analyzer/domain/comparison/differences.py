"""Metrics of versions with intervals, and their differences with tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.resampling import (
    CALIBRATION_ERROR,
    Matrix,
    Statistic,
    draws_of,
    statistics,
)
from services.analyzer.domain.comparison.statistics import (
    LEVEL,
    PairedTest,
    adjusted,
    mean_difference,
    means_test,
    row_differences,
    share_difference,
    share_interval,
    shares_test,
)
from services.analyzer.domain.comparison.summary import Difference, MetricValue, Outcome
from services.analyzer.domain.comparison.versions import Version, Versions
from services.analyzer.domain.metrics import (
    METRICS,
    NEED_PROBABILITIES,
    Interval,
    Metric,
    RowScores,
    Scorer,
    mean_interval,
    standard_metrics,
)

ALPHA = 0.05
"""Differences with a smaller p-value are told apart from chance."""

MARGIN = 0.01
"""What is worse by less is as good: of shares a point, of losses 1 % of the baseline's."""

_DRAWS = 1000
_LEAST_DRAWS = 50
_PERCENTILES = (2.5, 97.5)
_SHARES = frozenset({"accuracy", "balanced_accuracy", "roc_auc"})
_SIGNED = frozenset({"r2", "bias"})


@dataclass(frozen=True)
class MeasuredVersion:
    """A version with its metrics.

    Attributes:
        version: Which.
        values: By name.
        draws: The metrics on rows that were drawn again, by name; the same rows for all versions.
        scores: Row scores of the metrics that are means over rows.
    """

    version: Version
    values: Mapping[str, float]
    draws: Mapping[str, Matrix]
    scores: Mapping[Metric, RowScores]

    def metric(self, name: str) -> MetricValue:
        """Returns a metric with its interval."""
        interval = self._interval(name)
        if interval is None:
            return MetricValue(name, self.values[name])
        low, high = interval.low, interval.high
        if name in _SHARES:
            high = min(1.0, high)
        if name not in _SIGNED:
            low = max(0.0, low)
        return MetricValue(name, self.values[name], float(low), float(high))

    def _interval(self, name: str) -> Interval | None:
        if name in self.scores:
            return _shown(_own_interval(self, Metric(name)), Metric(name))
        if name in self.draws:
            return _percentiles(self.values[name], self.draws[name])
        return None


@dataclass(frozen=True)
class Judgement:
    """How a challenger does on the metric of the comparison.

    Attributes:
        outcome: See `Outcome`.
        margin: What it may be worse by and still be as good, in the metric's units.
        is_within_margin: Whether it is shown not to be worse by the margin.
    """

    outcome: Outcome
    margin: float
    is_within_margin: bool


@dataclass(frozen=True)
class MetricComparison:
    """Metrics and differences.

    Attributes:
        values: Metrics of each version.
        differences: Differences of each challenger.
        judgements: How each challenger does.
        notes: What was cut short.
    """

    values: tuple[tuple[MetricValue, ...], ...]
    differences: tuple[tuple[Difference, ...], ...]
    judgements: tuple[Judgement | None, ...]
    notes: tuple[str, ...] = ()


def compare_metrics(versions: Versions, budget: Budget) -> MetricComparison:
    """Returns metrics of versions with their differences to the baseline.

    Metrics that are means over rows have intervals and tests by formulas; the others have intervals
    by drawing rows again.

    Args:
        versions: Usable ones, on rows whose truth is known.
        budget: For drawing again.
    """
    own = [_statistics(each) for each in versions.all]
    draws = draws_of(own, _DRAWS, versions.baseline.subject.settings.seed, budget)
    count = len(next(iter(draws[0].values())))
    measured = [
        _measured(version, of, found if count >= _LEAST_DRAWS else {})
        for version, of, found in zip(versions.all, own, draws, strict=True)
    ]
    baseline, *challengers = measured
    differences = _corrected([_differences(baseline, each) for each in challengers])
    metric = versions.baseline.subject.settings.metric
    judgements = [
        _judged(baseline, each, metric, found, len(challengers))
        for each, found in zip(challengers, differences, strict=True)
    ]
    notes = [f"For the budget, intervals come of {count:,} draws of the rows, not {_DRAWS:,}."]
    return MetricComparison(
        tuple(tuple(each.metric(name) for name in each.values) for each in measured),
        tuple(tuple(each) for each in differences),
        tuple(judgements),
        tuple(notes if count < _DRAWS else ()),
    )


def _statistics(version: Version) -> dict[str, Statistic]:
    subject = version.subject
    found = statistics(subject.model.task, subject.truth, subject.outputs)
    return {name: each for name, each in found.items() if _has(version, name)}


def _has(version: Version, name: str) -> bool:
    return version.subject.model.gives_probabilities or name not in {
        *NEED_PROBABILITIES,
        CALIBRATION_ERROR,
    }


def _measured(
    version: Version, own: Mapping[str, Statistic], draws: Mapping[str, Matrix]
) -> MeasuredVersion:
    subject = version.subject
    task = subject.model.task
    values = standard_metrics(task, subject.truth, subject.outputs)
    if CALIBRATION_ERROR in own:
        values[CALIBRATION_ERROR] = own[CALIBRATION_ERROR].value
    scores = {
        metric: Scorer(metric, task, subject.truth).rows(subject.outputs)
        for metric in METRICS[task]
        if _has(version, metric)
    }
    for metric, found in scores.items():
        values.setdefault(metric.value, metric.shown(float(found.mean())))
    kept = {name: value for name, value in values.items() if _has(version, name)}
    return MeasuredVersion(version, kept, draws, scores)


def _differences(baseline: MeasuredVersion, challenger: MeasuredVersion) -> list[Difference]:
    return [
        _difference(baseline, challenger, name)
        for name in baseline.values
        if name in challenger.values
    ]


def _difference(baseline: MeasuredVersion, challenger: MeasuredVersion, name: str) -> Difference:
    change = challenger.values[name] - baseline.values[name]
    if name in baseline.scores:
        metric = Metric(name)
        interval = _shown(_paired_interval(baseline, challenger, metric), metric)
        test = _test(baseline, challenger, metric)
        return Difference(name, change, interval.low, interval.high, test.name, test.p_value)
    if name in baseline.draws and name in challenger.draws:
        interval = _percentiles(change, challenger.draws[name] - baseline.draws[name])
        return Difference(name, change, interval.low, interval.high)
    return Difference(name, change)


def _corrected(found: Sequence[Sequence[Difference]]) -> list[list[Difference]]:
    """Corrects the p-values of each metric for the number of challengers."""
    corrected = [list(each) for each in found]
    tested = {each.metric for own in found for each in own if each.p_value is not None}
    for name in tested:
        places = [
            (row, column)
            for row, own in enumerate(found)
            for column, each in enumerate(own)
            if each.metric == name
        ]
        p_values = adjusted([found[row][column].p_value or 0.0 for row, column in places])
        for (row, column), p_value in zip(places, p_values, strict=True):
            corrected[row][column] = replace(found[row][column], adjusted_p_value=p_value)
    return corrected


def _judged(
    baseline: MeasuredVersion,
    challenger: MeasuredVersion,
    metric: Metric,
    differences: Sequence[Difference],
    challengers: int,
) -> Judgement | None:
    if metric not in baseline.scores or metric not in challenger.scores:
        return None
    own = next(each for each in differences if each.metric == metric)
    margin = MARGIN * (abs(baseline.values[metric]) if metric.is_loss else 1.0)
    level = 1 - (1 - LEVEL) / challengers  # so that all intervals hold together
    interval = _paired_interval(baseline, challenger, metric, level)
    within = interval.low > -margin
    if own.adjusted_p_value is not None and own.adjusted_p_value < ALPHA:
        outcome = Outcome.BETTER if interval.value > 0 else Outcome.WORSE
    else:
        outcome = Outcome.AS_GOOD if within else Outcome.UNDECIDED
    return Judgement(outcome, margin, within)


def _is_share(version: Version, metric: Metric) -> bool:
    """Whether the metric is the share of rows that are right."""
    return metric is Metric.ACCURACY and version.subject.model.task is Task.CLASSIFICATION


def _own_interval(measured: MeasuredVersion, metric: Metric) -> Interval:
    scores = measured.scores[metric]
    if _is_share(measured.version, metric):
        return share_interval(int(scores.sum()), len(scores))
    return mean_interval(scores)


def _paired_interval(
    baseline: MeasuredVersion, challenger: MeasuredVersion, metric: Metric, level: float = LEVEL
) -> Interval:
    """Returns the difference of mean row scores: above 0 the challenger is better."""
    change = _changes(baseline, challenger, metric)
    if _is_share(baseline.version, metric):
        return share_difference(
            int((change > 0).sum()), int((change < 0).sum()), len(change), level
        )
    return mean_difference(change, level)


def _test(baseline: MeasuredVersion, challenger: MeasuredVersion, metric: Metric) -> PairedTest:
    change = _changes(baseline, challenger, metric)
    if _is_share(baseline.version, metric):
        return shares_test(int((change > 0).sum()), int((change < 0).sum()))
    return means_test(change)


def _changes(baseline: MeasuredVersion, challenger: MeasuredVersion, metric: Metric) -> RowScores:
    """Returns how much better the challenger is on each row."""
    return row_differences(baseline.scores[metric], challenger.scores[metric])


def _shown(interval: Interval, metric: Metric) -> Interval:
    """Returns an interval of row scores in the metric's own sign."""
    if not metric.is_loss:
        return interval
    return Interval(-interval.value, -interval.high, -interval.low)


def _percentiles(value: float, draws: Matrix) -> Interval:
    # Rounded, as what is the same of two versions may differ in the last digits of its sums.
    low, high = np.percentile(draws, _PERCENTILES).round(12)
    return Interval(value, float(low), float(high))

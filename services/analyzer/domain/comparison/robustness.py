"""How versions suffer from the same disturbed rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.differences import ALPHA
from services.analyzer.domain.comparison.statistics import adjusted, mean_difference, means_test
from services.analyzer.domain.comparison.summary import Curve, Fall, RobustnessCurves
from services.analyzer.domain.comparison.versions import Version, Versions
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.metrics import Metric, RowScores
from services.analyzer.domain.robustness.columns import Columns, columns_of
from services.analyzer.domain.robustness.disturbance import Disturbance, disturbed_scores
from services.analyzer.domain.robustness.images import image_disturbances
from services.analyzer.domain.robustness.lags import series_disturbances
from services.analyzer.domain.robustness.scoring import Baseline, baseline_of
from services.analyzer.domain.robustness.tables import table_disturbances
from services.analyzer.domain.robustness.texts import text_disturbances

_MOST_ROWS = 5000
_LEAST_ROWS = 100
_OF_EACH_KIND = 3
_STEPS = slice(0, None, 2)  # three of five


@dataclass(frozen=True)
class RobustnessComparison:
    """How versions suffer.

    Attributes:
        versions: The baseline first.
        metric: What the curves are of.
        rows: Rows that were disturbed.
        curves: By disturbance.
        falls: Of each challenger against the baseline, by disturbance.
        notes: What is missing, or was cut short.
    """

    versions: tuple[Version, ...]
    metric: Metric
    rows: int
    curves: tuple[RobustnessCurves, ...]
    falls: tuple[tuple[Fall, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "RobustnessComparison":
        """See `PartResult`."""
        return self


@dataclass(frozen=True)
class _Suffered:
    """Row scores under a disturbance: (versions, steps, rows); the first step is none."""

    disturbance: Disturbance
    steps: tuple[float, ...]
    scores: RowScores

    @property
    def middle(self) -> int:
        """Place of the middle step."""
        return (len(self.steps) + 1) // 2

    def more(self, challenger: int) -> RowScores:
        """Returns how much more a challenger's row scores fall than the baseline's."""
        falls = self.scores[:, 0] - self.scores[:, self.middle]
        return np.asarray(falls[challenger] - falls[0])


def compare_robustness(versions: Versions, budget: Budget) -> RobustnessComparison:
    """Returns how the metric of versions falls under a few disturbances of the same rows.

    Raises:
        NotApplicableError: The versions take nothing that can be disturbed.
    """
    usable, notes = versions.usable
    columns = columns_of(usable.baseline.subject, budget)
    disturbances = _few(columns)
    if not disturbances:
        raise NotApplicableError("The versions take no columns that can be disturbed.")
    rows, cut = _rows(usable, disturbances, budget)
    baselines = [baseline_of(each.subject, rows) for each in usable.all]
    suffered, failed = _suffered(usable, baselines, disturbances, budget)
    if not suffered:
        raise NotApplicableError(" ".join(failed))
    metric = baselines[0].scorer.metric
    return RobustnessComparison(
        usable.all,
        metric,
        baselines[0].count,
        tuple(_curves(usable, metric, each) for each in suffered),
        _falls(usable, suffered),
        (*notes, *cut, *failed),
    )


def _few(columns: Columns) -> list[Disturbance]:
    kinds = (
        image_disturbances(columns.images),
        series_disturbances(columns),
        table_disturbances(columns),
        text_disturbances(columns.texts),
    )
    few = [each for kind in kinds for each in kind[:_OF_EACH_KIND]]
    return [replace(each, severities=each.severities[_STEPS]) for each in few]


def _rows(
    versions: Versions, disturbances: Sequence[Disturbance], budget: Budget
) -> tuple[int, tuple[str, ...]]:
    steps = sum(len(each.severities) for each in disturbances)
    seconds = steps * sum(each.subject.seconds_per_row for each in versions.all)
    wanted = min(_MOST_ROWS, versions.sample.count)
    rows = budget.affords(wanted, seconds, min(_LEAST_ROWS, wanted))
    if rows == wanted:
        return rows, ()
    return rows, (f"For the budget, {rows:,} rows were disturbed, not {wanted:,}.",)


def _suffered(
    versions: Versions,
    baselines: Sequence[Baseline],
    disturbances: Sequence[Disturbance],
    budget: Budget,
) -> tuple[list[_Suffered], tuple[str, ...]]:
    found, notes = list[_Suffered](), list[str]()
    for each in disturbances:
        if budget.is_spent and found:
            notes.append("Some disturbances were left out: the time was spent.")
            break
        budget.check()
        try:
            scores = [
                _scores(version, baseline, each)
                for version, baseline in zip(versions.all, baselines, strict=True)
            ]
        except Exception as error:  # What models of others raise has no common root.
            budget.check()  # but where the work as a whole was stopped, this raises
            notes.append(f"No result for {each.kind.label}: {error}"[:300])
        else:
            found.append(_Suffered(each, (0.0, *each.severities), np.array(scores)))
    return found, tuple(notes)


def _scores(version: Version, baseline: Baseline, disturbance: Disturbance) -> list[RowScores]:
    return [
        baseline.scores,
        *(
            disturbed_scores(version.subject, baseline, disturbance, severity)
            for severity in disturbance.severities
        ),
    ]


def _curves(versions: Versions, metric: Metric, suffered: _Suffered) -> RobustnessCurves:
    means = suffered.scores.mean(axis=2)
    return RobustnessCurves(
        suffered.disturbance.kind.label,
        suffered.disturbance.unit,
        suffered.steps,
        tuple(
            Curve(version.name, tuple(metric.shown(float(each)) for each in own))
            for version, own in zip(versions.all, means, strict=True)
        ),
    )


def _falls(versions: Versions, suffered: Sequence[_Suffered]) -> tuple[tuple[Fall, ...], ...]:
    places = range(1, len(versions.all))
    p_values = adjusted(
        [means_test(each.more(place)).p_value for place in places for each in suffered]
    )
    clear = iter(p_value < ALPHA for p_value in p_values)
    return tuple(tuple(_fall(each, place, next(clear)) for each in suffered) for place in places)


def _fall(suffered: _Suffered, place: int, is_clear: bool) -> Fall:
    found = mean_difference(suffered.more(place))
    step = suffered.steps[suffered.middle]
    label = suffered.disturbance.kind.label
    return Fall(label, step, found.value, found.low, found.high, is_clear)

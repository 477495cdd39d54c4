"""What trials teach: their losses, also where they did not end well."""

import math
import statistics
from collections.abc import Sequence

from services.tuner.domain.study.objective import Objective, losses_of
from services.tuner.domain.study.records import TrialRecord, TrialState
from services.tuner.domain.surrogate.history import Told


def told_of(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[Told]:
    """Returns what a surrogate learns from trials that ended.

    A pruned trial is worth its last value, and no less than the median of the completed ones. One
    that failed, or breaks constraints, counts as the worst.
    """
    known = [losses_of(objectives, each.values) if each.counts else None for each in records]
    completed = [losses[0] for losses in known if losses is not None]
    median = statistics.median(completed) if completed else -math.inf
    return [
        Told(each.parameters, losses or _losses(each, objectives, median), each.cost)
        for each, losses in zip(records, known, strict=True)
    ]


def _losses(
    record: TrialRecord, objectives: Sequence[Objective], median: float
) -> tuple[float, ...]:
    """Returns what a trial is worth that is not among those that count."""
    last = record.last
    is_pruned = record.state is TrialState.PRUNED and record.violation == 0
    if not is_pruned or last is None or len(objectives) > 1 or math.isnan(last):
        return (math.inf,) * len(objectives)
    return (max(objectives[0].loss(last), median),)

"""Rows and classes that changed from the baseline to a challenger."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from common.reports.text import number, shortened
from services.analyzer.domain.comparison.statistics import adjusted, shares_test
from services.analyzer.domain.comparison.summary import (
    Agreement,
    ChangedRow,
    ChangedRows,
    ClassChange,
)
from services.analyzer.domain.comparison.versions import Version, Versions
from services.analyzer.domain.metrics import Metric, Scorer

MOST_ROWS = 20
MOST_CLASSES = 50

_CLEAR = 0.1
_MOST_LABELS = 8

Positions = npt.NDArray[np.intp]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowChanges:
    """Rows that changed.

    Attributes:
        summary: Counts, and those that are shown.
        gained: Positions in the sample of the gained rows that are shown.
        lost: Positions in the sample of the lost rows that are shown.
    """

    summary: ChangedRows
    gained: Positions
    lost: Positions


def row_changes(versions: Versions, challenger: Version) -> RowChanges:
    """Returns rows that only one of a challenger and the baseline has right.

    For regression, those whose error changed by more than a tenth of the target's standard
    deviation.
    """
    baseline = versions.baseline
    gained, lost = _changed(baseline, challenger)
    clearness = _clearness(baseline, challenger)
    first, second = (_clearest(each, clearness) for each in (gained, lost))
    summary = ChangedRows(
        int(gained.sum()),
        int(lost.sum()),
        _wrong_otherwise(baseline, challenger),
        len(gained),
        tuple(_told(versions, challenger, int(place)) for place in first),
        tuple(_told(versions, challenger, int(place)) for place in second),
    )
    return RowChanges(summary, first, second)


def class_changes(versions: Versions, challenger: Version) -> tuple[ClassChange, ...]:
    """Returns how the share that is right changed in each class, the largest change first."""
    truth = versions.baseline.subject.truth
    before, after = _right(versions.baseline), _right(challenger)
    present = [place for place in range(len(versions.classes)) if (truth == place).any()]
    counts = [_class_counts(before[truth == each], after[truth == each]) for each in present]
    p_values = adjusted([shares_test(gained, lost).p_value for gained, lost in counts])
    changes = [
        ClassChange(
            versions.classes[place],
            int((truth == place).sum()),
            float(before[truth == place].mean()),
            float(after[truth == place].mean()),
            gained,
            lost,
            p_value,
        )
        for place, (gained, lost), p_value in zip(present, counts, p_values, strict=True)
    ]
    changes.sort(key=lambda each: -abs(each.challenger - each.baseline))
    return tuple(changes[:MOST_CLASSES])


def agreements(versions: Versions) -> tuple[Agreement, ...]:
    """Returns how far each two versions predict the same."""
    return tuple(
        Agreement(first.name, second.name, _agreement(versions.task, first, second))
        for place, first in enumerate(versions.all)
        for second in versions.all[place + 1 :]
    )


def _agreement(task: Task, first: Version, second: Version) -> float | None:
    one, other = first.predicted, second.predicted
    if task is not Task.REGRESSION:
        return float((one == other).mean())
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one.astype(np.float64), other.astype(np.float64))[0, 1])


def _right(version: Version) -> Marks:
    right = np.asarray(version.predicted == version.subject.truth)
    return np.asarray(right.reshape(len(right), -1).all(axis=1))


def _errors(version: Version) -> npt.NDArray[np.float64]:
    truth = version.subject.truth.astype(np.float64)
    return np.asarray(np.abs(version.subject.outputs[:, 0] - truth))


def _changed(baseline: Version, challenger: Version) -> tuple[Marks, Marks]:
    if baseline.subject.model.task is not Task.REGRESSION:
        before, after = _right(baseline), _right(challenger)
        return ~before & after, before & ~after
    change = _errors(challenger) - _errors(baseline)
    clear = _CLEAR * float(baseline.subject.truth.astype(np.float64).std())
    return change < -clear, change > clear


def _wrong_otherwise(baseline: Version, challenger: Version) -> int:
    if baseline.subject.model.task is Task.REGRESSION:
        return 0
    both = ~_right(baseline) & ~_right(challenger)
    different = np.asarray(baseline.predicted != challenger.predicted)
    return int((both & different.reshape(len(both), -1).any(axis=1)).sum())


def _clearness(baseline: Version, challenger: Version) -> npt.NDArray[np.float64]:
    """Returns how far each row changed, up or down."""
    task = baseline.subject.model.task
    if task is Task.REGRESSION:
        return np.asarray(np.abs(_errors(challenger) - _errors(baseline)))
    scorer = Scorer(Metric.LOG_LOSS, task, baseline.subject.truth)
    before, after = (scorer.rows(each.subject.outputs) for each in (baseline, challenger))
    return np.asarray(np.abs(np.exp(after) - np.exp(before)))


def _clearest(marked: Marks, clearness: npt.NDArray[np.float64]) -> Positions:
    places = np.flatnonzero(marked)
    return places[np.argsort(-clearness[places], kind="stable")][:MOST_ROWS]


def _told(versions: Versions, challenger: Version, place: int) -> ChangedRow:
    truth, before, after = (
        _words(versions, values[place])
        for values in (
            versions.baseline.subject.truth,
            versions.baseline.predicted,
            challenger.predicted,
        )
    )
    return ChangedRow(int(versions.sample.numbers[place]), truth, before, after)


def _words(versions: Versions, value: Any) -> str:
    """Returns a class, labels, or a value for people."""
    if versions.task is Task.REGRESSION:
        return number(float(value))
    if versions.task is Task.CLASSIFICATION:
        return shortened(versions.classes[int(value)]) if int(value) >= 0 else "another class"
    names = [shortened(versions.classes[place], 40) for place in np.flatnonzero(value)]
    more = "…" if len(names) > _MOST_LABELS else ""
    return ", ".join(names[:_MOST_LABELS]) + more if names else "none"


def _class_counts(before: Marks, after: Marks) -> tuple[int, int]:
    return int((~before & after).sum()), int((before & ~after).sum())

"""Fewer rows where predicting all of them would take too long."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.subject import Subject

_SHARE = 0.5
_LEAST_ROWS = 200


def thinned(
    subjects: Sequence[Subject], seconds: float, check: Callable[[], None]
) -> tuple[list[Subject], str]:
    """Returns the subjects, on the same fewer rows if need be, and a note that says so.

    Args:
        subjects: On the same rows.
        seconds: For all parts together; predicting the rows may take half of them.
        check: Raises to stop.
    """
    first = subjects[0]
    budget = Budget(_SHARE * seconds, check)
    each = sum(_seconds_per_row(subject, check) for subject in subjects)
    count = first.sample.count
    rows = budget.affords(count, each, _LEAST_ROWS)
    if rows >= count:
        return list(subjects), ""
    generator = np.random.default_rng(first.settings.seed)
    chosen = np.sort(generator.choice(count, rows, replace=False))
    note = f"For the budget, {rows:,} of {count:,} rows were looked at."
    return [_on(subject, chosen) for subject in subjects], note


def _on(subject: Subject, chosen: npt.NDArray[np.int64]) -> Subject:
    outliers = None if subject.outliers is None else subject.outliers.take(chosen)
    return replace(subject, sample=subject.sample.take(chosen), outliers=outliers)


def _seconds_per_row(subject: Subject, check: Callable[[], None]) -> float:
    try:
        return subject.seconds_per_row
    except Exception:  # What models of others raise has no common root; the parts tell of it.
        check()  # but where the work as a whole was stopped, this raises
        return 0.0

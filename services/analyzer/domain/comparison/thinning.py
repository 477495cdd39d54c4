"""Fewer rows where predicting all of them for all versions would take too long."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.subject import Subject

_SHARE = 0.4
_LEAST_ROWS = 200


def thinned(
    subjects: Sequence[Subject], seconds: float, check: Callable[[], None]
) -> tuple[list[Subject], str]:
    """Returns the subjects, on the same fewer rows if need be, and a note that says so.

    What scans say of the rows is left out of thinned subjects.

    Args:
        subjects: On the same rows.
        seconds: For all parts together; predicting the rows may take two fifths of them.
        check: Raises to stop.
    """
    first = subjects[0]
    budget = Budget(_SHARE * seconds, check)
    each = sum(_seconds_per_row(subject, check) for subject in subjects)
    count = first.sample.count
    rows = budget.affords(count, each, _LEAST_ROWS)
    if rows >= count:
        return list(subjects), ""
    sample = first.sample.drawn(rows, first.settings.seed)
    note = f"For the budget, versions were compared on {rows:,} of {count:,} rows."
    return [replace(subject, sample=sample, outliers=None) for subject in subjects], note


def _seconds_per_row(subject: Subject, check: Callable[[], None]) -> float:
    try:
        return subject.seconds_per_row
    except Exception:  # What models of others raise has no common root; the parts tell of it.
        check()  # but where the work as a whole was stopped, this raises
        return 0.0

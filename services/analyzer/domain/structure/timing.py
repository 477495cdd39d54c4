"""How long work takes."""

import time
from collections.abc import Callable
from statistics import median

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget

_REPEATS = 5
_BATCH_SECONDS = 0.12
_LEAST_ROWS, _MOST_ROWS = 8, 1024


def median_seconds(work: Callable[[], object], budget: Budget, repeats: int = _REPEATS) -> float:
    """Returns the median of some runs, fewer where the budget is spent, after one to warm up."""
    taken = [_seconds(work)]
    while len(taken) <= repeats and not (len(taken) > 1 and budget.is_spent):
        budget.check()
        taken.append(_seconds(work))
    return median(taken[1:])


def batch_of(raw: RawRows, seconds_for_one: float) -> RawRows:
    """Returns rows that take a bit of time together; a power of two, if there are so many."""
    rows = _LEAST_ROWS
    while rows < _MOST_ROWS and 2 * rows * seconds_for_one <= _BATCH_SECONDS:
        rows *= 2
    return raw.take(slice(0, min(rows, raw.count)))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

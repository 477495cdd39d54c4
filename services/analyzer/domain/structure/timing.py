"""How long work takes."""

import time
from collections.abc import Callable
from statistics import median

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget

_REPEATS, _FEWEST_REPEATS = 5, 3
_ENOUGH_SECONDS = 0.15  # What takes so long is measured well by few runs.
_BATCH_SECONDS = 0.12
_LEAST_ROWS, _MOST_ROWS = 8, 1024


def median_seconds(work: Callable[[], object], budget: Budget, repeats: int = _REPEATS) -> float:
    """Returns the median of some runs after one to warm up.

    They are fewer where they take long or the budget is spent.
    """
    taken = [_seconds(work)]
    while len(taken) <= repeats and not (len(taken) > 1 and budget.is_spent):
        if len(taken) > _FEWEST_REPEATS and sum(taken) > _ENOUGH_SECONDS:
            break
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

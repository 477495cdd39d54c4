"""Losses of any metric, made comparable between sets of data."""

import math
from collections.abc import Sequence

_MOST_TIMES = 2.0
"""A loss so many times the best one says no more than a larger one."""
_DIGITS = 4


def regrets(losses: Sequence[float]) -> list[float]:
    """Returns how far each loss is from the best of a set, 0 for the best, 1 for useless.

    Where losses are above 0 that is the logarithm of their ratio: twice the best is useless. Else,
    as of scores that may be below 0, it is the share of the way from the best to the median, and
    as far beyond.

    Args:
        losses: Of candidates; infinite where they failed.
    """
    good = sorted(each for each in losses if math.isfinite(each))
    if not good:
        return [1.0 for _ in losses]
    best, middle = good[0], good[len(good) // 2]
    if best > 0:
        return [_rounded(_log_ratio(each, best)) for each in losses]
    width = 2 * (middle - best) or 1.0
    return [_rounded((each - best) / width) for each in losses]


def _log_ratio(loss: float, best: float) -> float:
    if not math.isfinite(loss):
        return 1.0
    return math.log(max(loss / best, 1.0)) / math.log(_MOST_TIMES)


def _rounded(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), _DIGITS)

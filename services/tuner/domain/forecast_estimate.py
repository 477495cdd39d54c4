"""What a search for forecasts will need, from its specification alone."""

from collections.abc import Sequence
from dataclasses import replace

from common.data.schema import Column
from services.tuner.domain.estimate import Estimate, estimate
from services.tuner.domain.specification import TuningSpecification

_MOST_WINDOWS, _FEW_WINDOWS, _SHORT_SECONDS = 12, 8, 100.0


def window_count(seconds: float) -> int:
    """Returns how many parts of the past candidates forecast at most in so much time."""
    return _MOST_WINDOWS if seconds > _SHORT_SECONDS else _FEW_WINDOWS


def forecast_estimate(
    specification: TuningSpecification, columns: Sequence[Column], rows: int
) -> Estimate:
    """Returns what a resolved specification of forecasts will need.

    Args:
        specification: Resolved.
        columns: Target, time, series and all others that are read.
        rows: Of the data set.
    """
    windows = window_count(specification.budget)
    return replace(estimate(specification, columns, rows), fold_count=windows)

"""What a search for forecasts will need, from its specification alone."""

from collections.abc import Sequence
from dataclasses import replace

from common.data.schema import Column
from services.tuner.domain.estimate import Estimate, estimate
from services.tuner.domain.specification import TuningSpecification

MOST_WINDOWS, FEW_WINDOWS, SHORT_SECONDS = 12, 8, 100.0
"""Parts of the past that candidates forecast; fewer where time is short."""


def forecast_estimate(
    specification: TuningSpecification, columns: Sequence[Column], rows: int
) -> Estimate:
    """Returns what a resolved specification of forecasts will need.

    Args:
        specification: Resolved.
        columns: Target, time, series and all others that are read.
        rows: Of the data set.
    """
    is_short = specification.budget <= SHORT_SECONDS
    windows = FEW_WINDOWS if is_short else MOST_WINDOWS
    return replace(estimate(specification, columns, rows), fold_count=windows)

"""What a search for forecasts will need, from its specification alone."""

from collections.abc import Sequence
from dataclasses import replace

from common.data.schema import Column
from services.tuner.domain.estimate import Estimate, estimate
from services.tuner.domain.specification import TuningSpecification

USUAL_WINDOWS = 3
"""Times from which each way to forecast is tried, one horizon apart."""


def forecast_estimate(
    specification: TuningSpecification, columns: Sequence[Column], rows: int
) -> Estimate:
    """Returns what a resolved specification of forecasts will need.

    Args:
        specification: Resolved.
        columns: Target, time, series and all others that are read.
        rows: Of the data set.
    """
    return replace(estimate(specification, columns, rows), fold_count=USUAL_WINDOWS)

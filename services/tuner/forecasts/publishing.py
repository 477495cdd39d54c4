"""Rows that a forecaster is tried on."""

import numpy as np
import pandas as pd

from common.models.estimators.forecasting.forecaster import Forecaster
from common.models.estimators.frame_values import seconds_of

_ROWS = 16


def vector_rows(forecaster: Forecaster) -> pd.DataFrame:
    """Returns the next steps of the first series, as they are asked for: without a target.

    Args:
        forecaster: The model.
    """
    columns, horizon = forecaster.columns_, min(forecaster.horizon_, _ROWS)
    kept = forecaster.kept_[0]
    steps = kept.end + np.arange(horizon)
    table: dict[str, object] = {
        name: [text] * horizon
        for name, text in zip(columns.series, forecaster.labels_[0], strict=True)
    }
    table[columns.time] = seconds_of(pd.Series(forecaster.grid_.moments(steps)))
    table[columns.target] = np.full(horizon, np.nan)
    table |= {each.name: np.full(horizon, np.nan) for each in columns.covariates}
    return pd.DataFrame(table)

"""Scales of columns beside a series, fitted on what comes before the validation part."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from common.data.reader import ColumnBatch
from common.data.schema import LABEL_TYPES, Schema
from common.data.storage import Values
from common.models.preprocessing import NumericColumn
from services.trainer.domain.fitting import Moments
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.forecasts.windows import training_rows


def fit_covariates(
    forecast: Forecast, schema: Schema, batches: Iterable[ColumnBatch]
) -> dict[str, NumericColumn]:
    """Returns mean and deviation of each column beside the series.

    Args:
        forecast: Resolved.
        schema: Of the data.
        batches: All rows: time, names of series and the columns beside them.

    Raises:
        InvalidFieldError: A series has a time twice.
    """
    pieces = list(batches)
    parts = np.concatenate([piece.parts for piece in pieces])

    def column(name: str) -> Values:
        return np.concatenate([piece.columns[name] for piece in pieces])

    names = [column(name) for name in forecast.series_columns]
    rows = training_rows(column(forecast.time_column), names, parts, forecast)
    return {
        name: _fitted(name, numbers(schema, name, column(name))[rows])
        for name in forecast.covariates
    }


def numbers(schema: Schema, name: str, values: Values) -> npt.NDArray[np.float64]:
    """Returns the values of a number or boolean, NaN where one is missing."""
    found = values.astype(np.float64)
    if schema.column(name).type in LABEL_TYPES:
        return np.where(found < 0, np.nan, found)
    return found


def stacked(columns: Sequence[npt.NDArray[np.float64]], rows: int) -> npt.NDArray[np.float64]:
    """Returns columns side by side, shape (rows, columns); there may be none."""
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))


def _fitted(name: str, values: npt.NDArray[np.float64]) -> NumericColumn:
    moments = Moments.of(values[None])
    return NumericColumn(name=name, mean=float(moments.mean[0]), scale=float(moments.scales()[0]))

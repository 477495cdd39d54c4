"""Columns of data frames as plain values, quick for a single row and for many."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Matrix = npt.NDArray[np.float64]

# Up to so many rows the whole frame is made an array of objects, which costs less than to take
# its columns one by one.
_FEW_ROWS = 32
_FEW_COLUMNS = 32


class FrameValues:
    """The values of a data frame, by the position that their column has among known names."""

    def __init__(self, frame: pd.DataFrame, names: Sequence[str]) -> None:
        """Finds the columns.

        Args:
            frame: Has the columns, in any order, and perhaps others.
            names: Which ones.

        Raises:
            ValueError: A column is missing; names it.
        """
        self._frame = frame
        self._names = names
        own = frame.columns.tolist()
        places = {name: place for place, name in enumerate(own)}
        missing = [name for name in names if name not in places]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"The column `{missing[0]}`{more} is missing.")
        self._places = [places[name] for name in names]
        self._objects = frame.to_numpy(object) if len(frame) <= _FEW_ROWS else None

    def numbers(self, positions: Sequence[int]) -> Matrix:
        """Returns numbers and truth values, NaN for missing, (rows, positions).

        Raises:
            ValueError: There is something else; names the column.
        """
        with suppress(TypeError, ValueError):
            if self._objects is not None:
                return np.asarray(self._objects[:, self._chosen(positions)].astype(np.float64))
            if len(positions) > _FEW_COLUMNS:
                taken = self._frame.iloc[:, self._chosen(positions)]
                return np.asarray(taken.to_numpy(np.float64, na_value=np.nan))
        matrix = np.empty((len(self._frame), len(positions)), order="F")
        for column, position in enumerate(positions):
            try:
                matrix[:, column] = self._series(position).to_numpy(np.float64, na_value=np.nan)
            except (TypeError, ValueError) as error:
                name = self._names[position]
                raise ValueError(f"The column `{name}` holds other values than numbers.") from error
        return matrix

    def seconds(self, positions: Sequence[int]) -> Matrix:
        """Returns times as seconds since 1970, NaN for missing, (rows, positions)."""
        matrix = np.empty((len(self._frame), len(positions)))
        if self._objects is not None:
            with suppress(TypeError):  # Times, not seconds.
                matrix[:] = self._objects[:, self._chosen(positions)]
                return matrix
        for column, position in enumerate(positions):
            matrix[:, column] = seconds_of(self._series(position))
        return matrix

    def texts(self, position: int) -> list[Any]:
        """Returns values of a column of texts as they are; missing ones may be None or NaN."""
        if self._objects is not None:
            found: list[Any] = self._objects[:, self._places[position]].tolist()
            return found
        return list(self._series(position).tolist())

    def _chosen(self, positions: Sequence[int]) -> list[int]:
        return [self._places[position] for position in positions]

    def _series(self, position: int) -> "pd.Series[Any]":
        return self._frame.iloc[:, self._places[position]]


def seconds_of(series: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    """Returns times, or seconds already, as seconds since 1970 with NaN for missing."""
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if series.dtype.kind != "M":
        found: npt.NDArray[np.float64] = series.to_numpy(np.float64, na_value=np.nan)
        return found
    moments = series.to_numpy("datetime64[us]")
    seconds = moments.astype(np.int64) / 1e6
    return np.where(np.isnat(moments), np.nan, seconds)


def text_of(value: object) -> str | None:
    """Returns a value as labels of categories write it; None for missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | float | np.number):
        return None if math.isnan(value) else f"{value:.15g}"
    return None if value is None or value is pd.NA or value is pd.NaT else str(value)

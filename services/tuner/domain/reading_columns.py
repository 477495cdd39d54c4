"""Columns of a data frame: what they are, and their values as `Problem.features` has them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.data.schema import MAX_CATEGORIES, Column, ColumnType, NumericStatistics
from common.models.estimators.frame_values import seconds_of, text_of
from common.models.estimators.packing import in_natural_order
from common.models.estimators.picture_cells import cells_of

Values = npt.NDArray[Any]

_FEW_LEVELS = 20
_WORDS_OF_TEXT, _WORDS_OF_CODE = 5, 1.1
_MANY_LEVELS = 10_000
_TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class ReadColumn:
    """A column with its values.

    Attributes:
        column: What it is.
        values: Float64 with NaN for missing, or objects: texts with NaN for missing.
    """

    column: Column
    values: Values


def read_column(name: str, series: "pd.Series[Any]", wanted: ColumnType | None) -> ReadColumn:
    """Reads a column of a data frame.

    Args:
        name: Its name.
        series: Its values.
        wanted: Its type; None to guess it, as an import into the catalog does.

    Raises:
        ValueError: The values are not of the type.
    """
    if wanted in (ColumnType.IMAGE, ColumnType.EMBEDDING):
        raise ValueError(f"The column `{name}` cannot be {wanted} in a data frame.")
    if wanted is None:
        return _typed(name, series) or _guessed(name, _texts(series))
    if wanted in (ColumnType.CATEGORICAL, ColumnType.TEXT):
        return text_column(name, _texts(series), wanted)
    try:
        return _converted(name, series, wanted)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The column `{name}` holds values that are not {wanted}.") from error


def number_column(name: str, values: Values, kind: ColumnType = ColumnType.NUMERIC) -> ReadColumn:
    """Returns a column of numbers, truth values or times, float64 with NaN for missing."""
    numbers = np.asarray(values, np.float64)
    finite = numbers[np.isfinite(numbers)]
    column = Column(
        name,
        kind,
        missing_count=int(np.isnan(numbers).sum()),
        distinct_count=len(np.unique(finite)),
        numeric=_statistics(finite) if kind is ColumnType.NUMERIC else None,
    )
    return ReadColumn(column, numbers)


def text_column(name: str, texts: Sequence[str | None], kind: ColumnType) -> ReadColumn:
    """Returns a column of categories or texts."""
    values = np.array([np.nan if text is None else text for text in texts], object)
    known = [text for text in texts if text is not None]
    levels = set(known)
    column = Column(name, kind, missing_count=len(texts) - len(known), distinct_count=len(levels))
    if kind is ColumnType.TEXT:
        lengths = np.array([len(text) for text in known], np.float64)
        return ReadColumn(replace(column, text_length=_statistics(lengths)), values)
    if len(levels) <= MAX_CATEGORIES:
        column = replace(column, categories=tuple(in_natural_order(list(levels))))
    return ReadColumn(column, values)


def picture_column(name: str, pictures: npt.NDArray[np.uint8]) -> ReadColumn:
    """Returns a column of pictures, (rows, channels, height, width)."""
    cells = np.empty(len(pictures), object)
    cells[:] = cells_of(pictures)
    distinct = len(set(cells.tolist()))
    column = Column(name, ColumnType.IMAGE, shape=pictures.shape[1:], distinct_count=distinct)
    return ReadColumn(column, cells)


def repeats(texts: Sequence[str | None]) -> bool:
    """Whether texts are labels: these repeat; texts hardly do, and are long.

    Of very many codes, such as the names of users, some may be there only once.
    """
    known = [text for text in texts if text is not None]
    levels = set(known)
    if len(levels) <= MAX_CATEGORIES:
        return len(levels) <= max(_FEW_LEVELS, len(texts) // 2)
    words = sum(text.count(" ") + 1 for text in known) / len(known)
    if words < _WORDS_OF_CODE and len(levels) > _MANY_LEVELS:
        return len(levels) <= 3 * len(texts) // 4
    return words < _WORDS_OF_TEXT and len(levels) <= len(texts) // 2


def _typed(name: str, series: "pd.Series[Any]") -> ReadColumn | None:
    """Reads a column whose type of data says what it is; None where it does not."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return text_column(name, _texts(series), ColumnType.CATEGORICAL)
    if pd.api.types.is_bool_dtype(dtype):
        return _converted(name, series, ColumnType.BOOLEAN)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return number_column(name, series.dt.total_seconds().to_numpy())
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _converted(name, series, ColumnType.TIMESTAMP)
    if pd.api.types.is_numeric_dtype(dtype):
        return _converted(name, series, ColumnType.NUMERIC)
    return None


def _texts(series: "pd.Series[Any]") -> list[str | None]:
    return [text_of(value) for value in series.tolist()]


def _guessed(name: str, texts: Sequence[str | None]) -> ReadColumn:
    """Reads a column of texts, which may be numbers, truth values, times, labels."""
    series = pd.Series([text if text and text.strip() else None for text in texts], dtype=object)
    for kind in (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP):
        try:
            return _converted(name, series, kind)
        except (TypeError, ValueError):
            continue
    kind = ColumnType.CATEGORICAL if repeats(texts) else ColumnType.TEXT
    return text_column(name, texts, kind)


def _converted(name: str, series: "pd.Series[Any]", kind: ColumnType) -> ReadColumn:
    """Reads a column as numbers, truth values or times; raises TypeError or ValueError."""
    if kind is ColumnType.TIMESTAMP:
        if not pd.api.types.is_numeric_dtype(series.dtype):
            series = pd.to_datetime(series, format="ISO8601", utc=True)
        return number_column(name, seconds_of(series), kind)
    if kind is ColumnType.BOOLEAN and series.dtype.kind not in "bfiu":
        return number_column(name, np.array([_truth(each) for each in series.tolist()]), kind)
    values = pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)
    if kind is ColumnType.BOOLEAN and not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise ValueError("There are other numbers than 0 and 1.")
    return number_column(name, values, kind)


def _truth(value: object) -> float:
    text = text_of(value)
    if text is None:
        return np.nan
    word = text.strip().lower()
    if word not in _TRUTHS:
        raise ValueError(f"`{word[:40]}` is neither true nor false.")
    return _TRUTHS[word]


def _statistics(values: npt.NDArray[np.float64]) -> NumericStatistics | None:
    if not len(values):
        return None
    spread = (float(values.min()), float(values.max()))
    return NumericStatistics(*spread, float(values.mean()), float(values.std()))

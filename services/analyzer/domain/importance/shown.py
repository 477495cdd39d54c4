"""Values of rows, for people and for colours."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from common.reports.text import number, shortened
from services.analyzer.domain.traits import NO_TIME, time_text

_LENGTH = 40


def shown_value(column: Column, value: object) -> str:
    """Returns a value of a raw column for people."""
    if column.type is ColumnType.TEXT:
        return "missing" if value is None else shortened(str(value), _LENGTH)
    if column.type is ColumnType.EMBEDDING:
        return f"vector of {np.size(np.asarray(value))}"
    if column.labels:
        code = int(str(value))
        return shortened(column.labels[code], _LENGTH) if code >= 0 else "missing"
    if column.type is ColumnType.TIMESTAMP:
        moment = int(str(value))
        return "missing" if moment == NO_TIME else time_text(moment)
    plain = float(str(value))
    return "missing" if plain != plain else number(plain)


def shown_values(column: Column, raw: RawRows) -> list[str]:
    """Returns the values of a raw column for people."""
    return [shown_value(column, each) for each in list(raw.columns[column.name])]


def levels(column: Column, values: Values) -> npt.NDArray[np.float64]:
    """Returns where values stand among the others, 0 to 1; NaN where they have no order."""
    ordered = column.type in (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP)
    if not ordered:
        return np.full(len(values), np.nan)
    numbers = values.astype(np.float64)
    is_missing = ~np.isfinite(numbers)
    if column.type is not ColumnType.NUMERIC:
        is_missing |= numbers < 0
    found = np.full(len(values), np.nan)
    present = numbers[~is_missing]
    if len(present):
        ranks = stats.rankdata(present)
        found[~is_missing] = (ranks - ranks.min()) / (float(np.ptp(ranks)) or 1.0)
    return found

"""What a calendar tells of times."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from common.models.estimators.frame_values import Matrix

PARTS = ("seconds", "year", "month", "day", "day_of_year", "weekday", "hour")
CYCLES = {"month": (1, 12), "day_of_year": (1, 365.25), "weekday": (0, 7), "hour": (0, 24)}
"""Where cycles begin and how long they are."""

_DAY = 86_400.0
# The first day of 1970 was a Thursday; Monday is 0.
_FIRST_WEEKDAY = 3
_MOST_COMPARED = 5
# Years about 1 to 9999: what lies beyond has no calendar.
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0


def calendar_names(time: str, is_cyclic: bool) -> list[str]:
    """Returns the names of what `calendar` gives for a column of times."""
    names = [f"{time}.{part}" for part in PARTS]
    if is_cyclic:
        names += [f"{time}.{part}.{wave}" for part in CYCLES for wave in ("sin", "cos")]
    return names


def calendar(seconds: npt.NDArray[np.float64], is_cyclic: bool) -> Matrix:
    """Returns the parts of times, UTC, NaN for missing, (rows, parts).

    Args:
        seconds: Since 1970, NaN for missing.
        is_cyclic: Whether cycles are given as sine and cosine besides.
    """
    is_known = (seconds >= _EARLIEST) & (seconds <= _LATEST)
    known = np.where(is_known, seconds, 0.0)
    days = np.floor(known / _DAY)
    dates = days.astype(np.int64).astype("datetime64[D]")
    months, years = dates.astype("datetime64[M]"), dates.astype("datetime64[Y]")
    parts = {
        "seconds": known,
        "year": years.astype(np.int64) + 1970,
        "month": months.astype(np.int64) % 12 + 1,
        "day": (dates - months).astype(np.int64) + 1,
        "day_of_year": (dates - years).astype(np.int64) + 1,
        "weekday": (days + _FIRST_WEEKDAY) % 7,
        "hour": (known - days * _DAY) / 3600,
    }
    columns = list(parts.values())
    for part, (start, length) in CYCLES.items() if is_cyclic else ():
        angle = 2 * np.pi * (parts[part] - start) / length
        columns += [np.sin(angle), np.cos(angle)]
    matrix = np.column_stack(columns).astype(np.float64)
    matrix[~is_known] = np.nan
    return matrix


def compared(times: int) -> list[tuple[int, int]]:
    """Returns which of some columns of times are subtracted from each other."""
    return list(combinations(range(times), 2)) if times <= _MOST_COMPARED else []

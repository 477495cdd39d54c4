"""Regular times: which step of a series a time is, and back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.models.estimators.calendar import PARTS, calendar

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

COUNT, SECONDS, BUSINESS_DAYS, MONTHS = "count", "seconds", "business_days", "months"
"""What steps are made of: whole numbers without a calendar, or times."""

_DAY = 86_400.0
_USED = ("month", "day", "day_of_year", "weekday", "hour")


@dataclass(frozen=True)
class Grid:
    """Times at equal distances.

    Attributes:
        unit: `COUNT`, `SECONDS`, `BUSINESS_DAYS` or `MONTHS`.
        size: Units in a step, above 0.
        origin: Of step 0: a number, seconds since 1970, or number of its month since 1970.
        offset: Seconds since the day or the month began, or until it ends.
        is_from_end: Whether the offset of a month is counted from its end.
    """

    unit: str
    size: float
    origin: float
    offset: float = 0.0
    is_from_end: bool = False

    @property
    def has_calendar(self) -> bool:
        """Whether steps are times."""
        return self.unit != COUNT

    def steps(self, times: Floats) -> Steps:
        """Returns the nearest steps of times, numbers or seconds since 1970."""
        return np.rint(self.places(times)).astype(np.int64)

    def places(self, times: Floats) -> Floats:
        """Returns steps with fractions where times are between them."""
        if self.unit in (COUNT, SECONDS):
            return np.asarray((times - self.origin) / self.size)
        if self.unit == BUSINESS_DAYS:
            days = _dates(times - self.offset)
            first = _dates(np.array([self.origin]))
            return np.busday_count(first, days).astype(np.float64)
        moments = times + self.offset if self.is_from_end else times - self.offset
        # Half a day: months whose end lies on other days of the calendar keep their number.
        months = _dates(moments - (_DAY / 2 if self.is_from_end else 0)).astype("datetime64[M]")
        return np.asarray((months.astype(np.int64) - self.origin) / self.size)

    def times(self, steps: Steps) -> Floats:
        """Returns the times of steps, as `steps` takes them."""
        if self.unit in (COUNT, SECONDS):
            return np.asarray(self.origin + self.size * steps)
        if self.unit == BUSINESS_DAYS:
            first = _dates(np.array([self.origin]))[0]
            days = np.busday_offset(first, steps, roll="forward")
            return np.asarray(days.astype(np.int64) * _DAY + self.offset)
        months = (self.origin + self.size * steps).astype(np.int64) + int(self.is_from_end)
        begin = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) * _DAY
        return np.asarray(begin - self.offset if self.is_from_end else begin + self.offset)

    def moments(self, steps: Steps) -> npt.NDArray[np.generic]:
        """Returns the times of steps as people take them: moments, or whole numbers."""
        times = self.times(steps)
        if not self.has_calendar:
            return np.rint(times).astype(np.int64)
        return np.rint(times * 1e6).astype(np.int64).astype("datetime64[us]")

    def calendar(self, steps: Steps) -> Floats:
        """Returns what the calendar tells of steps, (steps, parts); no parts without one."""
        if not self.has_calendar:
            return np.zeros((len(steps), 0))
        found = calendar(self.times(steps), is_cyclic=False)
        return found[:, [PARTS.index(each) for each in _USED]]


def _dates(seconds: Floats) -> npt.NDArray[np.datetime64]:
    return np.floor(seconds / _DAY).astype(np.int64).astype("datetime64[D]")

"""Seasons and horizons that go with a frequency as pandas writes it: `h`, `15min`, `MS`."""

import re

_FREQUENCY = re.compile(r"(\d*)([A-Za-z]+)")
_SEASONS = {
    "s": (60, 3_600),
    "min": (60, 1_440),
    "h": (24, 168),
    "D": (7,),
    "B": (5,),
    "W": (52,),
    "M": (12,),
    "Q": (4,),
}
_HORIZONS = {"h": 48, "D": 14, "W": 13, "M": 18, "Q": 8, "Y": 6}
_OTHER_HORIZON = 12


def usual_seasons(frequency: str) -> tuple[int, ...]:
    """Returns the steps after which the calendar comes again, the shortest cycle first.

    Args:
        frequency: Empty where steps vary: then there is none.
    """
    count, unit = _read(frequency)
    lengths = _SEASONS.get(unit, ())
    return tuple(each // count for each in lengths if each % count == 0 and each // count > 1)


def usual_horizon(frequency: str) -> int:
    """Returns how many steps are forecast unless told otherwise.

    Source: Makridakis, Spiliotis and Assimakopoulos, The M4 Competition (2020), its horizons.
    """
    return _HORIZONS.get(_read(frequency)[1], _OTHER_HORIZON)


def _read(frequency: str) -> tuple[int, str]:
    found = _FREQUENCY.fullmatch(frequency)
    if found is None:
        return 1, ""
    unit = found[2]
    # Months, quarters and years tell as well whether they are named by their first or last day.
    is_month = len(unit) == 2 and unit[0] in "MQY" and unit[1] in "SE"
    return int(found[1] or 1), unit[0] if is_month else unit

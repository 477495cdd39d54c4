"""Numbers, sizes and times as people read them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_KILO = 1024.0
_MINUTE = 60.0
_HOUR = 3600.0
# C0 and C1 controls but for tab and newline, and marks that override the direction of text.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BARS = "▁▂▃▄▅▆▇█"


def size(count: float) -> str:
    """Returns a number of bytes, for example `12.3 MB`."""
    if count < _KILO:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= _KILO
        if count < _KILO:
            return f"{count:.1f} {unit}"
    return f"{count / _KILO:.1f} TB"


def seconds(duration: float) -> str:
    """Returns a time span, for example `0.21 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if duration < 10:
        return f"{duration:.2f} s"
    if duration < _MINUTE:
        return f"{duration:.0f} s"
    if duration < _HOUR:
        return f"{duration // _MINUTE:.0f} min {duration % _MINUTE:02.0f} s"
    return f"{duration // _HOUR:.0f} h {duration % _HOUR // _MINUTE:02.0f} min"


def span(duration: Duration) -> float:
    """Returns a protobuf duration in seconds."""
    return float(duration.seconds + duration.nanos / 1e9)


def number(value: float, digits: int = 4) -> str:
    """Returns a measured value with so many significant digits."""
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value or 0.0:.{digits}g}"  # no -0


def count(quantity: int, thing: str) -> str:
    """Returns a quantity with its unit, for example `1 worker`, `2 workers`."""
    return f"{quantity:,} {thing}" + ("" if quantity == 1 else "s")


def moment(timestamp: Timestamp) -> str:
    """Returns a point in time in local time; empty where it is unset."""
    if not timestamp.seconds:
        return ""
    when = timestamp.ToDatetime(tzinfo=UTC).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S")


def between(start: Timestamp, end: Timestamp) -> str:
    """Returns how long something took, or takes so far; empty before it began.

    Clocks may differ, or be set meanwhile: no time is less than nothing.
    """
    if not start.seconds:
        return ""
    last = end.ToDatetime(tzinfo=UTC) if end.seconds else datetime.now(UTC)
    return seconds(max((last - start.ToDatetime(tzinfo=UTC)).total_seconds(), 0.0))


def enum_word(name: str, prefix: str) -> str:
    """Returns an enum value as a word: `running` for `RUN_STATE_RUNNING`."""
    return name.removeprefix(prefix).lower()


def cut(text: str, longest: int) -> str:
    """Returns a text in one line, shortened to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def harmless(text: str) -> str:
    """Returns a stranger's text without what steers a terminal or turns the direction of lines."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def bars(counts: Sequence[int]) -> str:
    """Returns a histogram as one block character a bin; a blank where a bin is empty."""
    highest = max(counts, default=0)
    if not highest:
        return ""
    top = len(_BARS) - 1
    return "".join(_BARS[round(top * each / highest)] if each else " " for each in counts)

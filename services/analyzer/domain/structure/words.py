"""Sizes, times and shapes for people."""

from collections.abc import Sequence

from common.reports.text import number

_STEP = 1024
_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_THOUSANDS = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def bytes_told(size: int) -> str:
    """Returns a size, for example `42.6 MB`."""
    value, place = float(size), 0
    while value >= _STEP and place + 1 < len(_UNITS):
        value, place = value / _STEP, place + 1
    return f"{size:,} bytes" if place == 0 else f"{value:.3g} {_UNITS[place]}"


def seconds_told(seconds: float) -> str:
    """Returns a time, for example `6.1 ms`."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def count_told(count: int) -> str:
    """Returns a count, for example `11.2 million`."""
    for size, word in _THOUSANDS:
        if count >= size:
            return f"{count / size:.3g} {word}"
    return number(count)


def shape_told(shape: Sequence[int]) -> str:
    """Returns a shape, for example `64 x 32 x 32`."""
    return " x ".join(map(str, shape)) or "1"

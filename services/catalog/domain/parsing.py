"""Text as numbers, truth values and times: one reading for the survey and for the import."""

import itertools
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

NOTHING_WORDS = ("na", "n/a", "null")
"""Written for a missing number, truth value or time. In columns of labels these are labels."""

# Microseconds since 1970 of the years 1 and 9999.
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
_CASES = itertools.product("nN", "aA", "nN")
_EMPTY = pa.array(["", *("".join(letters) for letters in _CASES)])
_NOTHING = pa.array(NOTHING_WORDS)
_TRUE = pa.array(["true"])
_TRUTH = pa.array(["true", "false"])


def is_text(kind: pa.DataType) -> bool:
    """Returns whether an array of the type holds texts, repeated ones perhaps once."""
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def each_text(values: pa.Array, read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Applies a function of single texts; to repeated ones once."""
    if pa.types.is_dictionary(values.type):
        return read(values.dictionary).take(values.indices)
    return read(values)


def clean(text: pa.Array) -> pa.Array:
    """Trims text; what is empty or NaN then is missing."""
    trimmed = pc.utf8_trim_whitespace(text)
    nothing = pc.is_in(trimmed, value_set=_EMPTY)
    if not pc.any(nothing).as_py():
        return trimmed
    return pc.if_else(nothing, pa.scalar(None, pa.string()), trimmed)


def parse_numbers(text: pa.Array) -> pa.Array | None:
    """Returns cleaned text as float64; None where some of it is no number."""
    numbers = _cast(text, pa.float64())
    if numbers is None:
        # A plus sign and words for "missing" are rare: look for them only now.
        unsigned = pc.replace_substring_regex(_without_nothing(text), r"^\+(\d|\.)", r"\1")
        numbers = _cast(unsigned, pa.float64())
    return numbers


def parse_booleans(text: pa.Array) -> pa.Array | None:
    """Returns cleaned `true` and `false`, in whatever case; None where some of it is neither."""
    words = pc.utf8_lower(_without_nothing(text))
    if pc.any(pc.invert(pc.is_in(pc.drop_null(words), value_set=_TRUTH))).as_py():
        return None
    return pc.if_else(pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, _TRUE))


def parse_timestamps(text: pa.Array) -> pa.Array | None:
    """Returns cleaned ISO 8601 text as times in UTC; None where some of it is no time."""
    plain = _cast(text, pa.timestamp("us"))
    if plain is not None:
        return plain
    words = _without_nothing(text)
    plain = _cast(words, pa.timestamp("us"))
    if plain is not None:
        return plain
    zoned = _cast(words, pa.timestamp("us", tz="UTC"))
    return None if zoned is None else zoned.cast(pa.timestamp("us"))


def read_timestamps(text: pa.Array) -> pa.Array | None:
    """Returns text as it is written as times in UTC; None where some of it is no time."""
    quick = None if pa.types.is_dictionary(text.type) else cast_timestamps(text)
    return parse_timestamps(each_text(text, clean)) if quick is None else quick


def cast_timestamps(text: pa.Array) -> pa.Array | None:
    """Returns text as times, where it is but ISO 8601 without a zone; else None."""
    return _cast(text, pa.timestamp("us"))


def are_dates(times: pa.Array) -> bool:
    """Returns whether all times, in microseconds, lie in the years 1 to 9999."""
    span = pc.min_max(times.cast(pa.int64()))
    low, high = span["min"].as_py(), span["max"].as_py()
    return low is None or (low >= _FIRST_TIME and high <= _LAST_TIME)


def first_unparsed(text: pa.Array) -> int:
    """Returns the position of the first value that is no number; for messages."""
    for position in range(len(text)):
        if parse_numbers(text.slice(position, 1)) is None:
            return position
    return 0


def first_untimed(text: pa.Array) -> int:
    """Returns the position of the first value that is no time; for messages."""
    for position in range(len(text)):
        if parse_timestamps(text.slice(position, 1)) is None:
            return position
    return 0


def _without_nothing(text: pa.Array) -> pa.Array:
    nothing = pc.is_in(pc.utf8_lower(text), value_set=_NOTHING)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), text)


def _cast(text: pa.Array, wanted: pa.DataType) -> pa.Array | None:
    try:
        return pc.cast(text, wanted)
    except pa.ArrowInvalid:
        return None

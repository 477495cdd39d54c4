"""Text as numbers, truth values and times: one reading for the survey and for the import."""

import pyarrow as pa
import pyarrow.compute as pc

_NAN = "nan"
# Written for a missing number, truth value or time. In columns of labels these are labels.
_NOTHING = pa.array(["na", "n/a", "null"])
_TRUE = pa.array(["true"])
_TRUTH = pa.array(["true", "false"])


def clean(text: pa.Array) -> pa.Array:
    """Trims text; what is empty or NaN then is missing."""
    trimmed = pc.utf8_trim_whitespace(text)
    nothing = pc.or_(pc.equal(trimmed, ""), pc.equal(pc.utf8_lower(trimmed), _NAN))
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
    words = _without_nothing(text)
    plain = _cast(words, pa.timestamp("us"))
    if plain is not None:
        return plain
    zoned = _cast(words, pa.timestamp("us", tz="UTC"))
    return None if zoned is None else zoned.cast(pa.timestamp("us"))


def first_unparsed(text: pa.Array) -> int:
    """Returns the position of the first value that is no number; for messages."""
    for position in range(len(text)):
        if parse_numbers(text.slice(position, 1)) is None:
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

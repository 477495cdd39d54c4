"""What pydantic finds wrong with a request, in the words of its contract: paths, names, values."""

import re
from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common.errors import FieldViolation
from common.wording import number, one_of, quoted, shortened

_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
# What pydantic puts behind a key where the key is wrong, not what stands under it.
_KEY_ITSELF = "[key]"


def violations_of(error: ValidationError, kind: Descriptor, field: str) -> list[FieldViolation]:
    """Returns the wrong fields of a message, each with its value and what would be right.

    Args:
        error: What a model says of the message as `to_plain` gives it.
        kind: The message's type.
        field: Path of the message in the request.
    """
    found = []
    for item in error.errors():
        path, leaf = _follow(kind, field, item["loc"])
        found.append(FieldViolation(path, _sentence(item, leaf)))
    return found


def map_value(field: FieldDescriptor | None) -> FieldDescriptor | None:
    """Returns the value field of a map's entries; None where the field is not a map."""
    kind = field.message_type if field is not None else None
    if kind is None or not kind.GetOptions().map_entry:
        return None
    value: FieldDescriptor = kind.fields_by_name["value"]
    return value


def enum_prefix(descriptor: EnumDescriptor) -> str:
    """Returns what all names of an enum begin with."""
    return str(descriptor.values_by_number[0].name).removesuffix("UNSPECIFIED")


def _follow(
    kind: Descriptor | None, path: str, location: Sequence[int | str]
) -> tuple[str, FieldDescriptor | None]:
    """Returns the path of a location, and the field there where the message has one."""
    leaf: FieldDescriptor | None = None
    is_key = False
    for part in location:
        if part == _KEY_ITSELF:
            continue
        if is_key:
            path, is_key = f'{path}["{shortened(part)}"]', False
        elif isinstance(part, int):
            path = f"{path}[{part}]"
        else:
            path = f"{path}.{part}"
            leaf = kind.fields_by_name.get(part) if kind is not None else None
            value = map_value(leaf)
            leaf, is_key = value or leaf, value is not None
            kind = leaf.message_type if leaf is not None else None
    return path, leaf


def _sentence(item: ErrorDetails, leaf: FieldDescriptor | None) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "missing":
        return "must be given."
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        unit = " s" if _is_duration(leaf) else ""
        return f"must be {words} {number(context[name])}{unit}, not {number(value)}{unit}."
    if kind == "finite_number":
        return f"must be a finite number, not {value}."
    if kind == "too_long":
        return f"must have at most {context['max_length']} items, not {context['actual_length']}."
    if kind == "string_too_short":
        return "must not be empty."
    if kind == "string_too_long":
        most = context["max_length"]
        return f"must have at most {most} character{'s' * (most != 1)}, not {len(value)}."
    if kind in ("literal_error", "enum"):
        return _choice(context["expected"], value, leaf)
    return _with_value(item["msg"].removeprefix("Value error, "), value)


def _choice(expected: str, value: object, leaf: FieldDescriptor | None) -> str:
    """Names the values of an enum as the contract does."""
    enum = leaf.enum_type if leaf is not None else None
    if enum is None:
        plain = expected.replace("'", "")
        return f"must be {plain}, not {quoted(value)}."
    prefix = enum_prefix(enum)
    names = [f"{prefix}{word.upper()}" for word in re.findall(r"'([^']*)'", expected)]
    given = f"{prefix}{str(value).upper()}"
    return f"must be {one_of(names)}, not {given if given in enum.values_by_name else value}."


def _with_value(text: str, value: object) -> str:
    """Adds a single value to a sentence that does not tell it."""
    text = text.removesuffix(".")
    if value == "":
        text = f"{text}; it is empty"
    elif isinstance(value, str | int | float) and str(value) not in text:
        text = f"{text}; it is {quoted(value)}"
    return f"{text}."


def _is_duration(leaf: FieldDescriptor | None) -> bool:
    kind = leaf.message_type if leaf is not None else None
    return kind is not None and kind.full_name == Duration.DESCRIPTOR.full_name

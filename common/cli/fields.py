"""What is wrong with the fields of a message written by hand, with path and suggestion."""

import difflib
from collections.abc import Iterator

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

_DURATION = "google.protobuf.Duration"
_WANTED = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_INT32: "a whole number below 2^31",
    FieldDescriptor.CPPTYPE_INT64: "a whole number",
    FieldDescriptor.CPPTYPE_STRING: "a text; put numbers in quotes",
}


def unknown_fields(values: object, message: Descriptor, path: str = "") -> Iterator[str]:
    """Finds keys that name no field.

    Args:
        values: What stands for the message: a dictionary of plain values.
        message: Its type.
        path: Path of the message.

    Yields:
        One sentence per key, with its path and the field that was probably meant.
    """
    if not isinstance(values, dict) or _is_well_known(message):
        return
    by_key = _fields_by_key(message)
    for key, value in values.items():
        place = _join(path, key)
        if key not in by_key:
            yield f"{place}: {_suggestion(str(key), sorted(message.fields_by_name))}"
            continue
        for below, inner, entry in _messages_below(value, by_key[key], place):
            yield from unknown_fields(entry, inner, below)


def wrong_value(values: object, message: Descriptor, path: str = "") -> str:
    """Finds the first value that does not fit its field.

    Args:
        values: What stands for the message; its keys name fields.
        message: Its type.
        path: Path of the message.

    Returns:
        One sentence with the path and what is wanted; empty where every value by itself fits.
    """
    if not isinstance(values, dict):
        return f"{path}: expected fields below it, not {values!r}."
    by_key = _fields_by_key(message)
    for key, value in values.items():
        if key in by_key and not _fits(message, {key: value}):
            return _wrong_below(value, by_key[key], _join(path, key))
    oneofs = [oneof for oneof in message.oneofs if len(oneof.fields) > 1]
    for oneof in oneofs:
        given = [field.name for field in oneof.fields if field.name in values]
        if len(given) > 1:
            return f"{path}: give only one of {', '.join(given)}."
    return ""


def _wrong_below(value: object, field: FieldDescriptor, place: str) -> str:
    map_entry = _map_entry(field)
    if map_entry is not None and isinstance(value, dict):
        return _wrong_entry(value, map_entry, place)
    for below, inner, entry in _messages_below(value, field, place):
        if not _is_well_known(inner) and not _fits(inner, entry):
            return wrong_value(entry, inner, below)
    sentence = f"{place}: expected {_wanted(field, value)}"
    return sentence if sentence.endswith("?") else f"{sentence}."


def _wrong_entry(entries: dict[object, object], entry: Descriptor, place: str) -> str:
    for key, value in entries.items():
        if not isinstance(key, str):
            return f"{place}: the key {key!r} is no text; put it in quotes."
        if not _fits(entry, {"value": value}):
            return _wrong_below(value, entry.fields_by_name["value"], _join(place, key))
    return f"{place}: expected other entries."


def _wanted(field: FieldDescriptor, value: object) -> str:
    if field.is_repeated and not isinstance(value, list | dict):
        return f"a list, not {value!r}"
    if field.enum_type is not None:
        names = [each.name for each in field.enum_type.values]
        close = difflib.get_close_matches(str(value).upper(), names, n=1, cutoff=0.4)
        choice = f"; did you mean {close[0]}?" if close else ""
        return f"one of {', '.join(names[1:])}, not {value!r}{choice}"
    if field.message_type is not None and field.message_type.full_name == _DURATION:
        return f'a time span such as "30s", not {value!r}'
    return f"{_WANTED.get(field.cpp_type, 'fields below it')}, not {value!r}"


def _messages_below(
    value: object, field: FieldDescriptor, place: str
) -> Iterator[tuple[str, Descriptor, object]]:
    """Yields path, type and values of the messages that a field's value stands for."""
    below = field.message_type
    if below is None:
        return
    if _map_entry(field) is not None:
        inner = below.fields_by_name["value"].message_type
        if inner is not None and isinstance(value, dict):
            yield from ((f"{place}.{key}", inner, entry) for key, entry in value.items())
    elif isinstance(value, list):
        yield from ((f"{place}[{number}]", below, each) for number, each in enumerate(value))
    else:
        yield place, below, value


def _fits(message: Descriptor, values: object) -> bool:
    if not isinstance(values, dict):
        return False
    try:
        json_format.ParseDict(values, message_factory.GetMessageClass(message)())
    except json_format.ParseError:
        return False
    return True


def _fields_by_key(message: Descriptor) -> dict[object, FieldDescriptor]:
    return {key: field for field in message.fields for key in (field.name, field.json_name)}


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    """Returns the type of a map's entries; None for a field that is no map."""
    below = field.message_type
    return below if below is not None and below.GetOptions().map_entry else None


def _is_well_known(message: Descriptor) -> bool:
    return message.full_name.startswith("google.protobuf.")


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"there is no such field; did you mean `{close[0]}`?"
    return f"there is no such field; there are {', '.join(known)}."

"""Filters of lists: `state=RUNNING AND labels.team=vision`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from common.errors import InvalidFieldError

Filter = Callable[[Message], bool]
_Value = str | int | float | bool

_MAX_LENGTH = 2000
_TERM = re.compile(
    r"""\s*(?P<path>[A-Za-z_][^\s=!"]*)\s*(?P<sign>!?=)\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]+))""",
    re.ASCII,
)
_AND = re.compile(r"\s+AND\s+")
_BOOLEANS = {"true": True, "false": False}
_INTEGERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
_FLOATS = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def compile_filter(text: str, descriptor: Descriptor) -> Filter:
    """Turns a filter into a predicate.

    A filter is one or more terms joined by ` AND `. A term is `path=value` or `path!=value`: the
    path of a field as the proto file spells it; `labels.team` for a key of a map; `state` for
    `status.state`. An enum's value goes by its short name (`RUNNING`) or its whole one. A repeated
    field matches if one of its values does. A value with spaces or quotes stands in double quotes.

    Args:
        text: The filter; empty matches everything.
        descriptor: Type of the messages.

    Raises:
        InvalidFieldError: Naming `filter`, if it cannot be understood.
    """
    if len(text) > _MAX_LENGTH:
        raise _wrong(f"must be at most {_MAX_LENGTH} characters")
    terms = [_compile_term(term, descriptor) for term in _split(text)]
    return lambda message: all(term(message) for term in terms)


def _split(text: str) -> list[re.Match[str]]:
    terms: list[re.Match[str]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        if terms:
            joint = _AND.match(text, position)
            if joint is None:
                raise _wrong("must be terms such as `state=RUNNING`, joined by ` AND `")
            position = joint.end()
        term = _TERM.match(text, position)
        if term is None:
            raise _wrong("must be terms such as `state=RUNNING`, joined by ` AND `")
        terms.append(term)
        position = term.end()
    return terms


@dataclass(frozen=True)
class _Target:
    """The field that a path leads to.

    Attributes:
        field: Its descriptor; the value field of a map.
        path: Attribute path from the message.
        key: Key within the map at `path`, or None.
    """

    field: FieldDescriptor
    path: str
    key: str | None = None


def _compile_term(term: re.Match[str], descriptor: Descriptor) -> Filter:
    target = _find(term["path"], descriptor)
    text = term["bare"]
    if text is None:
        text = re.sub(r"\\(.)", r"\1", term["quoted"])
    wanted = _convert(text, target.field, term["path"])
    test = _test(target, wanted)
    if term["sign"] == "=":
        return test
    return lambda message: not test(message)


def _find(path: str, descriptor: Descriptor) -> _Target:
    if path == "state" and "state" not in descriptor.fields_by_name:
        path = "status.state"
    walked: list[str] = []
    rest = path
    while True:
        step, _, rest = rest.partition(".")
        field = descriptor.fields_by_name.get(step)
        if field is None:
            raise _wrong(f"`{path}` is no field of {descriptor.name}")
        walked.append(step)
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            if not rest:
                raise _wrong(f"`{path}` is a map; name a key, as in `{path}.team`")
            return _Target(message.fields_by_name["value"], ".".join(walked), rest)
        if not rest:
            return _Target(field, ".".join(walked))
        if message is None or field.is_repeated:
            raise _wrong(f"`{'.'.join(walked)}` has no fields")
        descriptor = message


def _convert(text: str, field: FieldDescriptor, path: str) -> _Value:
    kind = field.cpp_type
    try:
        if kind == FieldDescriptor.CPPTYPE_STRING and field.type == FieldDescriptor.TYPE_STRING:
            return text
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return _BOOLEANS[text]
        if kind in _INTEGERS:
            return int(text)
        if kind in _FLOATS:
            return float(text)
    except (ValueError, KeyError):
        raise _wrong(f"`{text}` is no value of `{path}`") from None
    if field.enum_type is not None:
        return _enum_number(text, field.enum_type, path)
    raise _wrong(f"`{path}` cannot be compared with a value")


def _enum_number(text: str, enum: EnumDescriptor, path: str) -> int:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    for name in (text, prefix + text):
        if name in enum.values_by_name:
            return int(enum.values_by_name[name].number)
    names = ", ".join(name.removeprefix(prefix) for name in enum.values_by_name)
    raise _wrong(f"`{text}` is no value of `{path}`; there are {names}")


def _test(target: _Target, wanted: _Value) -> Filter:
    get = operator.attrgetter(target.path)
    key = target.key
    if key is not None:
        return lambda message: key in get(message) and get(message)[key] == wanted
    if target.field.is_repeated:
        return lambda message: wanted in get(message)
    if not target.field.has_presence:
        return lambda message: bool(get(message) == wanted)
    parent, _, name = target.path.rpartition(".")
    owner: Callable[[Message], Message] = operator.attrgetter(parent) if parent else _same
    return lambda message: owner(message).HasField(name) and bool(get(message) == wanted)


def _same(message: Message) -> Message:
    return message


def _wrong(description: str) -> InvalidFieldError:
    return InvalidFieldError("filter", description, reason="INVALID_FILTER")

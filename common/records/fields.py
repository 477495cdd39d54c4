"""Fields of messages by path, for filters and orders: `status.state`, `labels.team`."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from common.errors import InvalidFieldError
from common.wording import quoted

Value = str | int | float | bool

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
# Types whose values are numbers of nanoseconds here, and how their values are written.
_TIMES: dict[str, tuple[type[Timestamp] | type[Duration], str]] = {
    "google.protobuf.Timestamp": (Timestamp, "2026-11-24T00:00:00Z"),
    "google.protobuf.Duration": (Duration, "1.5s"),
}
_NAMES_SHOWN = 20


class _Nanoseconds(Protocol):
    def ToNanoseconds(self) -> int: ...  # noqa: N802


@dataclass(frozen=True)
class Field:
    """What a path leads to.

    Attributes:
        path: As it was asked for.
        descriptor: The field; of a key in a map, the field of the map's values.
        get: Reads it from a message: the value, times as nanoseconds, None where it is absent; a
            container for what is repeated.
        key: Key in the map, or None.
    """

    path: str
    descriptor: FieldDescriptor
    get: Callable[[Message], object]
    key: str | None = None

    @property
    def is_map(self) -> bool:
        """Whether it is a whole map."""
        return self.key is None and _is_map(self.descriptor)

    @property
    def is_repeated(self) -> bool:
        """Whether it is a list or a whole map."""
        return self.key is None and bool(self.descriptor.is_repeated)

    @property
    def is_time(self) -> bool:
        """Whether it is a point in time or a duration."""
        return not self.is_repeated and _time_type(self.descriptor) is not None

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.descriptor.type == FieldDescriptor.TYPE_STRING

    @property
    def is_ordered(self) -> bool:
        """Whether one value can be less than another."""
        number = self.descriptor.cpp_type in _INTEGERS | _FLOATS
        return not self.is_repeated and (number or self.is_text or self.is_time)

    def value(self, text: str, parameter: str) -> Value:
        """Returns the value that a text stands for.

        Args:
            text: As the caller wrote it.
            parameter: Request field that it came from, for the error.

        Raises:
            InvalidFieldError: It stands for no value of this field.
        """
        kind = self.descriptor.cpp_type
        time = _time_type(self.descriptor)
        try:
            if self.is_text:
                return text
            if kind == FieldDescriptor.CPPTYPE_BOOL:
                return _BOOLEANS[text]
            if kind in _INTEGERS:
                return int(text)
            if kind in _FLOATS:
                return float(text)
            if time is not None:
                return _nanoseconds(text, time[0])
        except (ValueError, KeyError):
            like = f"; write it as `{time[1]}`" if time is not None else ""
            raise wrong(parameter, f"{quoted(text)} is no value of `{self.path}`{like}") from None
        if self.descriptor.enum_type is not None:
            return self._enum_number(text, self.descriptor.enum_type, parameter)
        raise wrong(parameter, f"`{self.path}` cannot be compared with a value; name a field in it")

    def _enum_number(self, text: str, enum: EnumDescriptor, parameter: str) -> int:
        prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
        for name in (text, prefix + text):
            if name in enum.values_by_name:
                return int(enum.values_by_name[name].number)
        names = ", ".join(name.removeprefix(prefix) for name in enum.values_by_name)
        raise wrong(parameter, f"{quoted(text)} is no value of `{self.path}`; there are {names}")


def find_field(path: str, descriptor: Descriptor, parameter: str) -> Field:
    """Returns the field that a path leads to.

    Args:
        path: Names of fields as the proto file spells them, joined by dots; behind a map its key,
            in double quotes where it holds other than letters, digits and `._/-`; `state` stands
            for `status.state`.
        descriptor: Type of the messages.
        parameter: Request field that the path came from, for the error.

    Raises:
        InvalidFieldError: It leads nowhere.
    """
    rest = path
    if path == "state" and "state" not in descriptor.fields_by_name:
        rest = "status.state"
    walked: list[str] = []
    while True:
        step, _, rest = rest.partition(".")
        field = descriptor.fields_by_name.get(step)
        if field is None:
            raise wrong(parameter, f"{quoted(path)} is no field of {_with_fields(descriptor)}")
        walked.append(step)
        attribute = ".".join(walked)
        if not rest:
            return Field(path, field, _reader(attribute, field))
        if _is_map(field):
            key = _key(rest)
            value = entry_field(field, "value")
            return Field(path, value, _entry_reader(attribute, key), key)
        if field.message_type is None or field.is_repeated:
            raise wrong(parameter, f"`{attribute}` has no fields below it; name it alone")
        descriptor = field.message_type


def entry_field(field: FieldDescriptor, name: str) -> FieldDescriptor:
    """Returns the field of a map's keys or values.

    Args:
        field: The map.
        name: `key` or `value`.
    """
    assert field.message_type is not None, "a map is a list of messages"
    return field.message_type.fields_by_name[name]


def wrong(parameter: str, description: str) -> InvalidFieldError:
    """Returns the error for a filter or an order that cannot be understood."""
    return InvalidFieldError(parameter, description, reason=f"INVALID_{parameter.upper()}")


def unescape(text: str) -> str:
    """Returns what stands between double quotes without the backslashes that escape."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _with_fields(descriptor: Descriptor) -> str:
    names = list(descriptor.fields_by_name)
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return f"{descriptor.name}, which has {', '.join(names[:_NAMES_SHOWN])}{more}"


def _is_map(field: FieldDescriptor) -> bool:
    message = field.message_type
    return bool(message is not None and message.GetOptions().map_entry)


def _key(text: str) -> str:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return unescape(text[1:-1])
    return text


def _time_type(field: FieldDescriptor) -> tuple[type[Timestamp] | type[Duration], str] | None:
    return _TIMES.get(field.message_type.full_name) if field.message_type is not None else None


def _nanoseconds(text: str, time: type[Timestamp] | type[Duration]) -> int:
    value = time()
    value.FromJsonString(text)
    return value.ToNanoseconds()


def _entry_reader(attribute: str, key: str) -> Callable[[Message], object]:
    get = attrgetter(attribute)

    def read(message: Message) -> object:
        entries = get(message)
        return entries[key] if key in cast(Collection[str], entries) else None

    return read


def _reader(attribute: str, field: FieldDescriptor) -> Callable[[Message], object]:
    get = attrgetter(attribute)
    if field.is_repeated or not field.has_presence:
        return get
    parent, _, name = attribute.rpartition(".")
    owner: Callable[[Message], Message] = attrgetter(parent) if parent else lambda message: message
    if _time_type(field) is not None:
        return lambda message: (
            cast(_Nanoseconds, get(message)).ToNanoseconds()
            if owner(message).HasField(name)
            else None
        )
    return lambda message: get(message) if owner(message).HasField(name) else None

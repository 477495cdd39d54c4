"""Protobuf messages as plain values and back, and requests checked by pydantic models."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ValidationError

from common.complaints import enum_prefix, map_value, violations_of
from common.errors import InvalidFieldError, InvalidInputError

M = TypeVar("M", bound=Message)
Model = TypeVar("Model", bound=BaseModel)


def to_plain(message: Message) -> dict[str, object]:
    """Turns a message into a dictionary of plain values.

    Fields that are not set are absent. Enum values are lower-case names without the enum's prefix
    (`OPTIMIZER_KIND_ADAM` is `adam`), durations are seconds, timestamps are `datetime`s.

    Args:
        message: Any message without extensions or `Any`.

    Returns:
        The set fields by their proto names.
    """
    return {field.name: _field_to_plain(field, value) for field, value in message.ListFields()}


def from_plain(plain: Mapping[str, object], message_type: Callable[[], M]) -> M:
    """Builds a message from what `to_plain` gives; None counts as absent.

    Args:
        plain: Values by proto field name.
        message_type: The message's class.

    Returns:
        The message.

    Raises:
        KeyError: A name is not a field of the message.
    """
    message = message_type()
    for name, value in plain.items():
        if value is not None:
            field = cast(FieldDescriptor, message.DESCRIPTOR.fields_by_name[name])
            _set_field(message, field, value)
    return message


def resolve(message: Message, model: type[Model], field: str) -> Model:
    """Checks a message by a pydantic model and fills in the model's defaults.

    Args:
        message: What the caller sent.
        model: Declaration of types, ranges and defaults; its field names are the proto's.
        field: Path of the message in the request, for example `training_run.spec`.

    Returns:
        The checked model.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    try:
        return model.model_validate(to_plain(message))
    except ValidationError as error:
        violations = violations_of(error, cast(Descriptor, message.DESCRIPTOR), field)
    # Not raised within `except`: the garbage collector does not see into pydantic's errors, so as
    # the context of this one it would keep the frames of the call, and its request, for ever.
    raise InvalidInputError.of(violations)


def enum_short_name(descriptor: EnumDescriptor, number: int) -> str:
    """Returns `adam` for the number of `OPTIMIZER_KIND_ADAM`; unknown numbers as digits."""
    value = descriptor.values_by_number.get(number)
    if value is None:
        return str(number)
    return str(value.name).removeprefix(enum_prefix(descriptor)).lower()


def enum_number(descriptor: EnumDescriptor, short_name: str) -> int:
    """Returns the number of the enum value with this short name. Raises `KeyError`."""
    return int(descriptor.values_by_name[enum_prefix(descriptor) + short_name.upper()].number)


def _field_to_plain(field: FieldDescriptor, value: object) -> object:
    entry = map_value(field)
    if entry is not None:
        pairs = cast(Mapping[str, object], value).items()
        return {key: _scalar_to_plain(entry, item) for key, item in pairs}
    if field.is_repeated:
        return [_scalar_to_plain(field, item) for item in cast(Sequence[object], value)]
    return _scalar_to_plain(field, value)


def _scalar_to_plain(field: FieldDescriptor, value: object) -> object:
    if isinstance(value, Duration):
        return value.seconds + value.nanos / 1e9
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC)
    if isinstance(value, Message):
        return to_plain(value)
    if field.enum_type is not None and isinstance(value, int):
        return enum_short_name(field.enum_type, value)
    return value


def _set_field(message: Message, field: FieldDescriptor, value: object) -> None:
    target = getattr(message, field.name)
    entry = map_value(field)
    if entry is not None:
        for key, item in _mapping(value).items():
            if entry.message_type is not None:
                _fill_message(target[key], item)
            else:
                target[key] = _scalar(entry, item)
    elif field.is_repeated:
        for item in cast(Sequence[object], value):
            if field.message_type is not None:
                _fill_message(target.add(), item)
            else:
                target.append(_scalar(field, item))
    elif field.message_type is not None:
        target.SetInParent()
        _fill_message(target, value)
    else:
        setattr(message, field.name, _scalar(field, value))


def _fill_message(target: Message, value: object) -> None:
    if isinstance(target, Duration):
        target.FromNanoseconds(round(cast(float, value) * 1e9))
    elif isinstance(target, Timestamp):
        target.FromDatetime(value if isinstance(value, datetime) else _timestamp(value))
    else:
        target.CopyFrom(from_plain(_mapping(value), type(target)))


def _timestamp(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping, got {type(value).__name__}")
    return value


def _scalar(field: FieldDescriptor, value: object) -> object:
    if field.enum_type is not None and isinstance(value, str):
        return enum_number(field.enum_type, value)
    return value


def timedelta_of(duration: Duration, field: str) -> timedelta:
    """Returns a duration.

    Args:
        duration: Of a request.
        field: Path of the field, for the error.

    Raises:
        InvalidFieldError: It is longer than 10,000 years, or no duration at all.
    """
    try:
        return duration.ToTimedelta()
    except (OverflowError, ValueError):
        raise InvalidFieldError(field, "must be a duration of less than 10,000 years") from None

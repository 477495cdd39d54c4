"""Orders of lists: `metrics.validation/accuracy desc, name`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from common.records.fields import Field, find_field, wrong
from common.wording import quoted

# Value of each field that is ordered by; None where it is absent.
Key = tuple[str | int | float | None, ...]
T = TypeVar("T")

_PARAMETER = "order_by"
_MAX_FIELDS = 5
_MAX_LENGTH = 500
_FIELD = re.compile(
    r'\s*(?P<path>[A-Za-z_][^\s,"]*(?:"(?:[^"\\]|\\.)*")?)(?:\s+(?P<way>asc|desc))?\s*', re.ASCII
)


@dataclass(frozen=True)
class Order:
    """An order by the values of fields; what lacks a value comes last.

    Attributes:
        fields: The fields, the most important first.
        descending: For each, whether large values come first.
    """

    fields: tuple[Field, ...]
    descending: tuple[bool, ...]

    def key(self, message: Message) -> Key:
        """Returns the values that a message is ordered by."""
        return tuple(_value(field, message) for field in self.fields)

    def sort(self, items: list[tuple[Key, T]]) -> None:
        """Sorts items by their keys, in place; equal ones stay as they are."""
        # One stable sort per field, the least important first.
        for index in reversed(range(len(self.fields))):
            items.sort(key=self._sort_key(index), reverse=self.descending[index])

    def is_after(self, key: Key, other: Sequence[object]) -> bool | None:
        """Says whether a key stands behind another; None where they are equal."""
        for index, descending in enumerate(self.descending):
            mine, its = key[index], other[index]
            if mine == its:
                continue
            if mine is None or its is None:
                return mine is None
            return (mine < its) if descending else (mine > its)  # type: ignore[operator]
        return None

    def _sort_key(self, index: int) -> Callable[[tuple[Key, T]], tuple[bool, object]]:
        is_last = not self.descending[index]

        def sort_key(item: tuple[Key, T]) -> tuple[bool, object]:
            value = item[0][index]
            return ((value is None) == is_last, 0 if value is None else value)

        return sort_key


def compile_order(text: str, descriptor: Descriptor) -> Order | None:
    """Turns `order_by` into an order.

    Args:
        text: Paths of fields, as in filters, each followed by ` desc` or nothing, joined by commas.
            Empty for the usual order.
        descriptor: Type of the messages.

    Returns:
        The order; None for the usual one, newest first.

    Raises:
        InvalidFieldError: Naming `order_by`, if it cannot be understood.
    """
    if not text.strip():
        return None
    if len(text) > _MAX_LENGTH:
        raise wrong(_PARAMETER, f"must have at most {_MAX_LENGTH} characters, not {len(text)}")
    fields: list[Field] = []
    descending: list[bool] = []
    position = 0
    while position <= len(text):
        found = _FIELD.match(text, position)
        if found is None or text[found.end() : found.end() + 1] not in ("", ","):
            raise wrong(
                _PARAMETER,
                f"{quoted(text)} is not understood: it must be fields such as `create_time desc, "
                "name`, joined by commas",
            )
        fields.append(_ordered_field(found["path"], descriptor))
        descending.append(found["way"] == "desc")
        position = found.end() + 1
    if len(fields) > _MAX_FIELDS:
        raise wrong(_PARAMETER, f"must be at most {_MAX_FIELDS} fields, each after a comma")
    return Order(tuple(fields), tuple(descending))


def _ordered_field(path: str, descriptor: Descriptor) -> Field:
    field = find_field(path, descriptor, _PARAMETER)
    if field.is_map:
        raise wrong(_PARAMETER, f"{quoted(path)} is a map; name a key, as in `{path}.team`")
    if field.is_repeated or not (field.is_ordered or field.descriptor.enum_type is not None):
        raise wrong(_PARAMETER, f"{quoted(path)} has no order; choose a number, a text or a time")
    return field


def _value(field: Field, message: Message) -> str | int | float | None:
    value = field.get(message)
    if not isinstance(value, str | int | float) or value != value:  # NaN has no place
        return None
    return value

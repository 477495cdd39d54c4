"""Messages that nobody sends on purpose, made from the descriptors of the contracts."""

import math
import random
import struct
from collections.abc import Sequence
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_MAX_DEPTH = 8
_LARGE_BYTES = 4 * 1024**2
_LARGE_SHARE = 0.001

TEXTS = (
    "",
    " ",
    ".",
    "..",
    "/",
    "//",
    "../../etc/passwd",
    "/etc/passwd",
    "datasets/../models/x",
    "datasets/a/versions/0",
    "datasets/a/versions/-1",
    "datasets/a/versions/99999999999999999999",
    "datasets/a/versions/latest/versions/latest",
    "datasets/" + "a" * 64,
    "datasets/A",
    "datasets/a\x00b",
    "datasets/a\nb",
    "datasets/\u202eabc",
    "models/\U0001f600",
    "models/e\u0301",
    "uploads/%2e%2e%2f",
    "trainingRuns/*",
    "outlierScans/*",
    "analyses/*",
    "tuningRuns/*",
    "tuningPolicies/*",
    "studies/*",
    "studies/a/trials/0",
    "s3://aimass/records/",
    "s3://other/../key",
    "file:///etc/passwd",
    "{}",
    "null",
    "NaN",
    "-1",
    "1e999",
    "' OR 1=1 --",
    "state=RUNNING",
    "state=RUNNING AND",
    'labels."a"="b"',
    "((((((((((",
    "a" * 2_000,
    "\u0000",
    "\ufeff",
    "\U0010ffff" * 50,
    "%s%n%d",
    "${jndi:ldap://x}",
)
INTEGERS = (0, 1, -1, 2, 50, 1_000, 1_001, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
DOUBLES = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-308, 1e308, math.inf, -math.inf, math.nan)
_INTEGER_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class MessageGenerator:
    """Makes messages of any type: a few nearly right, most wrong, some huge or damaged."""

    def __init__(
        self, chance: random.Random, names: Sequence[str], right: Sequence[Message] = ()
    ) -> None:
        """Prepares.

        Args:
            chance: Where everything random comes from.
            names: Names of resources that exist, so that some calls get past the door.
            right: Requests with nothing wrong; half of those of their types are one of them with
                one field changed, so that the last checks are come to as well as the first.
        """
        self._chance = chance
        self._names = tuple(names)
        self._right: dict[str, list[bytes]] = {}
        for message in right:
            kind = message.DESCRIPTOR.full_name
            self._right.setdefault(kind, []).append(message.SerializeToString())

    def encoded(self, descriptor: Descriptor) -> bytes:
        """Returns the bytes of a message, one time in twenty damaged."""
        data = self._request(descriptor).SerializeToString()
        return self._damaged(data) if self._chance.random() < 0.05 else data

    def _request(self, descriptor: Descriptor) -> Message:
        right = self._right.get(descriptor.full_name)
        if right is None or self._chance.random() < 0.5:
            return self.message(descriptor)
        message: Message = GetMessageClass(descriptor)()
        message.ParseFromString(self._chance.choice(right))
        self._change(message)
        return message

    def _change(self, message: Message) -> None:
        """Changes a field of a message, or of one in it: the deeper the likelier."""
        fields = cast(Sequence[FieldDescriptor], message.DESCRIPTOR.fields)
        if not fields:
            return
        field = self._chance.choice(fields)
        if field.message_type is None or _is_map(field) or self._chance.random() < 0.1:
            self._fill(message, field, depth=0)
        elif field.is_repeated:
            items = getattr(message, field.name)
            self._change(self._chance.choice(items) if items else items.add())
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self._change(inner)

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """Returns a message with some of its fields set."""
        message: Message = GetMessageClass(descriptor)()
        density = self._chance.choice((0.2, 0.6, 1.0))
        for field in descriptor.fields:
            if self._chance.random() < density and depth < _MAX_DEPTH:
                self._fill(message, field, depth)
        return message

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if _is_map(field):
            self._fill_map(message, field, depth)
        elif field.is_repeated:
            target = getattr(message, field.name)
            for _ in range(self._count()):
                if field.message_type is not None:
                    target.add().CopyFrom(self.message(field.message_type, depth + 1))
                else:
                    target.append(self._scalar(field))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self.message(field.message_type, depth + 1))
        else:
            setattr(message, field.name, self._scalar(field))

    def _fill_map(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        entry = field.message_type
        assert entry is not None
        keys, values = entry.fields_by_name["key"], entry.fields_by_name["value"]
        target = getattr(message, field.name)
        for _ in range(self._count()):
            key = self._scalar(keys)
            if values.message_type is not None:
                target[key].CopyFrom(self.message(values.message_type, depth + 1))
            else:
                target[key] = self._scalar(values)

    def _count(self) -> int:
        return self._chance.choice((0, 1, 1, 2, 3, 70))

    def _scalar(self, field: FieldDescriptor) -> object:
        kind = field.cpp_type
        if kind in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[kind]
            return max(low, min(high, self._chance.choice(INTEGERS)))
        if kind == FieldDescriptor.CPPTYPE_STRING:
            is_bytes = field.type == FieldDescriptor.TYPE_BYTES
            return self._bytes() if is_bytes else self._text()
        if field.enum_type is not None:
            # Numbers that the contract does not know are legal on the wire.
            known = [value.number for value in field.enum_type.values]
            return self._chance.choice([*known, *known, 999, -1, 2**31 - 1])
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self._chance.random() < 0.5
        return self._float(field)

    def _float(self, field: FieldDescriptor) -> float:
        value = self._chance.choice(DOUBLES)
        if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT and math.isfinite(value):
            return float(struct.unpack("f", struct.pack("f", min(max(value, -3e38), 3e38)))[0])
        return value

    def _text(self) -> str:
        draw = self._chance.random()
        if draw < _LARGE_SHARE:
            return "x" * (_LARGE_BYTES - 1_000)
        if draw < 0.35 and self._names:
            return self._chance.choice(self._names)
        if draw < 0.4:
            return "".join(chr(self._chance.randrange(0x20, 0xD7FF)) for _ in range(20))
        return self._chance.choice(TEXTS)

    def _bytes(self) -> bytes:
        return self._chance.randbytes(self._chance.choice((0, 1, 100, 5_000)))

    def _damaged(self, data: bytes) -> bytes:
        if not data or self._chance.random() < 0.3:
            return self._chance.randbytes(self._chance.choice((1, 10, 1_000)))
        position = self._chance.randrange(len(data))
        changed = bytearray(data)
        changed[position] ^= 1 << self._chance.randrange(8)
        return bytes(changed[: self._chance.choice((position, len(changed)))])


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry

"""The object in which a resource is kept."""

import enum
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, Protocol, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from common.artifacts import ObjectInfo
from common.errors import DataLossError

M = TypeVar("M", bound=Message)

# A JSON object as `json.loads` gives it; its values are checked by json_format.
Json = dict[str, object]


class RecordState(enum.StrEnum):
    """Where a record stands between its creation and its deletion."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    DELETED = "DELETED"


@dataclass(frozen=True)
class Record(Generic[M]):
    """A resource as it was read or written.

    Attributes:
        name: Resource name.
        resource: The message. A copy of its own: changing it changes nothing else.
        revision: Counts the writes of this name, from 1; never falls, also over deletion and
            creation anew.
        etag: The store's etag; unique to this revision.
        state: ACTIVE, or DELETING while somebody tries to delete it.
        references: Names of the resources that it was created with a reference to.
    """

    name: str
    resource: M
    revision: int
    etag: str
    state: RecordState
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Envelope:
    """What is stored of a resource.

    Attributes:
        revision: See `Record`.
        state: See `Record`. DELETED is the tombstone of a resource that is gone.
        resource: The message in its JSON form; empty in a tombstone.
        request: Key of the idempotent request that created it, or empty.
        references: See `Record`. In a tombstone: whose reverse markers are still to be removed.
        purge: In a tombstone: prefixes of keys that are still to be deleted.
        cleaned: In a tombstone: whether nothing is left to be removed.
    """

    revision: int
    resource: Json
    state: RecordState = RecordState.ACTIVE
    request: str = ""
    references: tuple[str, ...] = ()
    purge: tuple[str, ...] = ()
    cleaned: bool = False

    def encode(self) -> bytes:
        """Returns the bytes to store.

        They differ with every call, by `write`: equal bytes would let a writer take the write of
        another for its own, and an etag would not tell a state from an earlier one like it.
        """
        body = {
            "revision": self.revision,
            "state": self.state.value,
            "write": secrets.token_hex(8),
            "request": self.request,
            "references": self.references,
            "purge": self.purge,
            "cleaned": self.cleaned,
            "resource": self.resource,
        }
        kept = {key: value for key, value in body.items() if value or key == "resource"}
        return json.dumps(kept, indent=1, ensure_ascii=False).encode()

    def next(self, state: RecordState) -> "Envelope":
        """Returns the following revision in another state."""
        return replace(self, revision=self.revision + 1, state=state)


@dataclass(frozen=True)
class Stored:
    """An envelope that was read or written.

    Attributes:
        name: Resource name.
        envelope: The content.
        etag: The store's etag.
        age: Time since it was written, by the store's clock.
    """

    name: str
    envelope: Envelope
    etag: str
    age: timedelta = field(default=timedelta(0), compare=False)
    _parsed: dict[type[Message], Message] = field(default_factory=dict, compare=False, repr=False)

    @property
    def exists(self) -> bool:
        """Whether there is a resource, as opposed to its tombstone."""
        return self.envelope.state is not RecordState.DELETED

    def record(self, message_type: type[M]) -> Record[M]:
        """Returns the record with a message of its own."""
        envelope = self.envelope
        if message_type not in self._parsed:
            # Reading JSON takes a hundred times as long as a copy, and caller and index want one.
            self._parsed[message_type] = parse(envelope.resource, message_type)
        resource = message_type()
        resource.CopyFrom(cast(M, self._parsed[message_type]))
        return Record(
            name=self.name,
            resource=resource,
            revision=envelope.revision,
            etag=self.etag,
            state=envelope.state,
            references=envelope.references,
        )


def decode(name: str, data: bytes, info: ObjectInfo) -> Stored:
    """Reads an envelope.

    Raises:
        DataLossError: If the bytes are no envelope.
    """
    try:
        body = json.loads(data)
        envelope = Envelope(
            revision=int(body["revision"]),
            state=RecordState(body["state"]),
            resource=body["resource"],
            request=body.get("request", ""),
            references=tuple(body.get("references", ())),
            purge=tuple(body.get("purge", ())),
            cleaned=bool(body.get("cleaned", False)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataLossError(f"The record of {name} is damaged.", private=repr(error)) from error
    return Stored(name, envelope, info.etag, info.now - info.modified)


def to_json(message: Message) -> Json:
    """Returns the JSON form of a message."""
    return cast(Json, json_format.MessageToDict(message))


def parse(resource: Json, message_type: type[M]) -> M:
    """Returns a message from its JSON form. Fields of a newer version are left out.

    Raises:
        DataLossError: If it does not fit the type.
    """
    try:
        return json_format.ParseDict(resource, message_type(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        text = f"A record does not hold a {message_type.DESCRIPTOR.name}."
        raise DataLossError(text, private=repr(error)) from error


def descriptor_of(message_type: type[Message]) -> Descriptor:
    """Returns the descriptor of a message type."""
    return cast(Descriptor, message_type.DESCRIPTOR)


class _Named(Protocol):
    """A message with a name."""

    name: str


def name_of(message: Message) -> str:
    """Returns the `name` field of a resource."""
    return cast(_Named, message).name


def renamed(message: M, name: str) -> M:
    """Returns a copy of a resource under another name."""
    copy = type(message)()
    copy.CopyFrom(message)
    cast(_Named, copy).name = name
    return copy

"""Idempotent creates: a request id is bound to a resource name before the resource is written."""

import hashlib
import json
import uuid
from dataclasses import dataclass

from google.protobuf.message import Message

from common.artifacts import ObjectChangedError, ObjectMissingError, ObjectStore
from common.errors import AlreadyExistsError, InvalidFieldError
from common.wording import quoted


@dataclass(frozen=True)
class RequestId:
    """Identity of a Create call that its client may repeat.

    Attributes:
        caller: Subject of the caller's token: one caller's ids do not meet another's.
        method: Full name of the RPC.
        request_id: The client's UUID.
        payload_digest: SHA-256 of the request.
    """

    caller: str
    method: str
    request_id: str
    payload_digest: str

    @classmethod
    def of(cls, caller: str, method: str, request_id: str, message: Message) -> "RequestId | None":
        """Makes the identity of a call; None where the client gave no `request_id`.

        Args:
            caller: Subject of the caller's token.
            method: Full name of the RPC.
            request_id: What the client gave.
            message: The whole request.

        Raises:
            InvalidFieldError: If `request_id` is no UUID.
        """
        if not request_id:
            return None
        try:
            canonical = str(uuid.UUID(request_id))
        except ValueError:
            raise InvalidFieldError(
                "request_id", f"must be a UUID, or empty; it is {quoted(request_id)}"
            ) from None
        payload = message.SerializeToString(deterministic=True)
        return cls(caller, method, canonical, hashlib.sha256(payload).hexdigest())

    @property
    def key(self) -> str:
        """Key of the request object."""
        identity = json.dumps([self.caller, self.method, self.request_id]).encode()
        return f"requests/{hashlib.sha256(identity).hexdigest()}.json"


@dataclass(frozen=True)
class Reservation:
    """What a request id is bound to.

    Attributes:
        name: Name of the resource.
        payload_digest: SHA-256 of the request.
        base: Revision of the name when the request came, 0 where it was never used. The request
            created the revision that follows, or nothing yet.
    """

    name: str
    payload_digest: str
    base: int


def find_reservation(store: ObjectStore, request: RequestId) -> Reservation | None:
    """Returns what the request is bound to, or None.

    Raises:
        AlreadyExistsError: If the id was used for another payload.
    """
    try:
        data, _ = store.read(request.key)
    except ObjectMissingError:
        return None
    body = json.loads(data)
    if body["payloadDigest"] != request.payload_digest:
        raise AlreadyExistsError(
            f"request_id {request.request_id} was used for another request; use a new UUID.",
            reason="REQUEST_ID_REUSED",
        )
    return Reservation(body["name"], body["payloadDigest"], body["base"])


def reserve(store: ObjectStore, request: RequestId, name: str, base: int) -> Reservation:
    """Binds the request to a name, where it is not bound yet. Returns what it is bound to.

    Raises:
        AlreadyExistsError: If the id was used for another payload.
    """
    body = {"name": name, "payloadDigest": request.payload_digest, "base": base}
    try:
        store.create(request.key, json.dumps(body).encode())
    except ObjectChangedError:
        reservation = find_reservation(store, request)
        if reservation is not None:
            return reservation
    return Reservation(name, request.payload_digest, base)

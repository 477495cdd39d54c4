"""What the suite asks of an object store."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 255

Chunk = bytes | memoryview
"""A piece of what is uploaded."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows about an object.

    Attributes:
        key: Key within the bucket.
        etag: Hash of the content: objects that were written in one piece (`write`, `create`,
            `replace`) and have equal content have an equal etag. What must not be mistaken for an
            earlier state with the same content needs a revision or a random part in its bytes.
        size: Bytes.
        modified: When the store wrote it, by the store's clock, in whole seconds.
        now: The store's clock when it answered, in whole seconds; `now - modified` is the object's
            age (to a second) whatever the clocks of other machines say.
    """

    key: str
    etag: str
    size: int
    modified: datetime
    now: datetime


class ObjectStore(Protocol):
    """A bucket with conditional writes. Safe to use from several threads.

    Every method raises `UnavailableError` when the store cannot be reached; a write may have
    happened then, or may yet happen when a frozen store wakes up. It raises `ValueError` for a key
    that `check_key` refuses. An object appears whole or not at all, and a read or a list after a
    write sees it.
    """

    @property
    def bucket(self) -> str:
        """Name of the bucket, as in `s3://<bucket>/<key>`."""
        ...

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        """Returns a small object. Raises `ObjectMissingError`."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Returns what is known about an object. Raises `ObjectMissingError`."""
        ...

    def write(self, key: str, data: bytes) -> str:
        """Writes an object, whatever was there. Returns its etag."""
        ...

    def create(self, key: str, data: bytes) -> str:
        """Writes an object that must not exist; of racing callers one wins.

        Returns its etag. Raises `ObjectChangedError`.
        """
        ...

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Writes over an object that must still have this etag; of racing callers one wins.

        Returns the new etag. Raises `ObjectChangedError`, also when the object is gone.
        """
        ...

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yields objects whose key begins with `prefix` and sorts after `after`, in key order.

        Args:
            prefix: Any beginning of a key; empty for all.
            after: Keys up to and including this one are left out.
            recursive: Whether to yield keys with a `/` behind the prefix too.
        """
        ...

    def delete(self, key: str) -> None:
        """Deletes an object; one that is missing is no error."""
        ...

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """Writes an object of any size in bounded memory. Returns its size in bytes.

        The object appears once all chunks are in; an error raised by `chunks` leaves nothing.
        """
        ...

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields the bytes of an object in chunks, none where `offset` lies behind the end.

        The first `next` raises `ObjectMissingError`.
        """
        ...


class ObjectMissingError(LookupError):
    """There is no object with that key."""


class ObjectChangedError(RuntimeError):
    """A conditional write lost: the object exists already, has changed or is gone."""


def check_key(key: str) -> str:
    """Returns a key that is safe on every store.

    Raises:
        ValueError: If the key is empty or too long, has a control character, a backslash, an empty
            segment, or a segment that is `.` or `..`.
    """
    segments = key.split("/")
    if _CONTROL.search(key) or any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"unsafe object key {key!r}")
    try:
        sizes = [len(segment.encode()) for segment in segments]
    except UnicodeEncodeError:
        raise ValueError(f"object key {key!r} is not valid text") from None
    if max(sizes) > MAX_SEGMENT_BYTES or len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"object key of {len(key)} characters is too long")
    return key

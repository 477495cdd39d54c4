"""What the suite asks of an object store."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows about an object.

    Attributes:
        key: Key within the bucket.
        etag: Hash of the content: equal content has an equal etag.
        size: Bytes.
        modified: When the store wrote it, by the store's clock.
        now: The store's clock when it answered; `now - modified` is the object's age whatever the
            clocks of other machines say.
    """

    key: str
    etag: str
    size: int
    modified: datetime
    now: datetime


class ObjectStore(Protocol):
    """A bucket with conditional writes. Safe to use from several threads.

    Every method raises `UnavailableError` when the store cannot be reached. An object appears whole
    or not at all, and a read after a write sees it.
    """

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
        """Writes an object that must not exist. Returns its etag. Raises `ObjectChangedError`."""
        ...

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Writes over an object that must still have this etag.

        Returns the new etag. Raises `ObjectChangedError`, also when the object is gone.
        """
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yields objects whose key begins with `prefix` and sorts after `after`, in key order."""
        ...

    def delete(self, key: str) -> None:
        """Deletes an object; one that is missing is no error."""
        ...

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        """Writes an object of any size in bounded memory. Returns its size in bytes."""
        ...

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields the bytes of an object in chunks. Raises `ObjectMissingError`."""
        ...


class ObjectMissingError(LookupError):
    """There is no object with that key."""


class ObjectChangedError(RuntimeError):
    """A conditional write lost: the object exists already, has changed or is gone."""

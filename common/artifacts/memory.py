"""An object store in memory, for tests and notebooks."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from common.artifacts.protocol import (
    Chunk,
    ObjectChangedError,
    ObjectInfo,
    ObjectMissingError,
    check_key,
)

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class _Stored:
    data: bytes
    info: ObjectInfo


class MemoryStore:
    """The in-memory twin of `S3Store`: the same guarantees, gone with the process."""

    def __init__(
        self, bucket: str = "aimass", clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Makes an empty store.

        Args:
            bucket: Name of the bucket.
            clock: The store's clock; a test that waits for something to expire sets its own.
        """
        self._bucket = bucket
        self._clock = clock
        self._objects: dict[str, _Stored] = {}
        self._lock = threading.Lock()

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._bucket

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        """See `ObjectStore`."""
        stored = self._get(key)
        return stored.data, replace(stored.info, now=self._now())

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        return self.read(key)[1]

    def write(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        stored = self._stored(key, data)
        with self._lock:
            self._objects[key] = stored
        return stored.info.etag

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        stored = self._stored(key, data)
        with self._lock:
            if key in self._objects:
                raise ObjectChangedError(key)
            self._objects[key] = stored
        return stored.info.etag

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `ObjectStore`."""
        stored = self._stored(key, data)
        with self._lock:
            current = self._objects.get(key)
            if current is None or current.info.etag != etag:
                raise ObjectChangedError(key)
            self._objects[key] = stored
        return stored.info.etag

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        with self._lock:
            found = [key for key in self._objects if key.startswith(prefix) and key > after]
            if not recursive:
                found = [key for key in found if "/" not in key[len(prefix) :]]
            infos = [self._objects[key].info for key in sorted(found, key=str.encode)]
        now = self._now()
        yield from (replace(info, now=now) for info in infos)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """See `ObjectStore`."""
        check_key(key)
        data = b"".join(chunks)
        self.write(key, data)
        return len(data)

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        data = self._get(key).data
        end = len(data) if length is None else min(len(data), offset + length)
        for start in range(offset, end, _CHUNK_BYTES):
            yield data[start : min(end, start + _CHUNK_BYTES)]

    def copy(self) -> "MemoryStore":
        """Returns a store with the same content and clock, from here on apart."""
        twin = MemoryStore(self._bucket, self._clock)
        with self._lock:
            twin._objects = dict(self._objects)
        return twin

    def _get(self, key: str) -> _Stored:
        check_key(key)
        with self._lock:
            stored = self._objects.get(key)
        if stored is None:
            raise ObjectMissingError(key)
        return stored

    def _stored(self, key: str, data: bytes) -> _Stored:
        check_key(key)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        now = self._now()
        return _Stored(bytes(data), ObjectInfo(key, etag, len(data), now, now))

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)

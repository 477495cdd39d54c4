"""Patience with a store that is away for a while."""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from common.artifacts.protocol import Chunk, ObjectChangedError, ObjectInfo, ObjectStore
from common.errors import StoreFullError, UnavailableError
from common.telemetry import metrics

_T = TypeVar("_T")

_FIRST_PAUSE = 0.02
_MAX_PAUSE = 1.0
_SPOOL_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class RetryingStore:
    """Wraps a store and repeats what failed with `UnavailableError`, up to a time limit.

    After a conditional write whose outcome is unknown it reads back: if exactly these bytes are
    there, the write has won. So bytes that must tell one writer from another need something of
    their own in them, such as the writer's id.
    """

    def __init__(
        self,
        store: ObjectStore,
        patience: float,
        *,
        full_patience: float | None = None,
        closed: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wraps `store`.

        Args:
            store: Any store.
            patience: For how long a call is repeated, in seconds since it began or since it last
                came further; then its last error is raised.
            full_patience: The same for a store that is full, which nobody may notice for long,
                since it was first full; by default that is an outage like any other.
            closed: Once set, nothing is repeated any more, and pauses end.
            clock: Seconds that never go back.
        """
        self._store = store
        self._patience = patience
        self._full_patience = full_patience
        self._closed = closed or threading.Event()
        self._clock = clock

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._store.bucket

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        """See `ObjectStore`."""
        return self._repeat(lambda: self._store.read(key))

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        return self._repeat(lambda: self._store.stat(key))

    def write(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._repeat(lambda: self._store.write(key, data))

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._conditional(key, data, lambda: self._store.create(key, data))

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `ObjectStore`."""
        return self._conditional(key, data, lambda: self._store.replace(key, data, etag))

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""

        def resume(last: ObjectInfo | None) -> Iterator[ObjectInfo]:
            return self._store.list(prefix, last.key if last else after, recursive=recursive)

        return self._stream(resume)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        self._repeat(lambda: self._store.delete(key))

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """See `ObjectStore`.

        What can be iterated only once is first copied, to disk where it is larger than 8 MiB.
        """
        if not isinstance(chunks, Iterator):
            return self._repeat(lambda: self._store.upload(key, chunks))
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            for chunk in chunks:
                spool.write(chunk)
            return self._repeat(lambda: self._store.upload(key, _from_start(spool)))

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`. Goes on where it stopped; meant for objects that nobody replaces."""
        done = 0

        def resume(last: bytes | None) -> Iterator[bytes]:
            left = None if length is None else length - done
            return self._store.download(key, offset + done, left)

        for chunk in self._stream(resume):
            done += len(chunk)
            yield chunk

    def _conditional(self, key: str, data: bytes, write: Callable[[], str]) -> str:
        tries = 0

        def attempt() -> str:
            nonlocal tries
            tries += 1
            try:
                return write()
            except ObjectChangedError:
                if tries == 1:
                    raise
                return self._own_etag(key, data)

        return self._repeat(attempt)

    def _own_etag(self, key: str, data: bytes) -> str:
        """Returns the etag that an earlier try wrote. Raises `ObjectChangedError` if none did."""
        try:
            present, info = self._store.read(key)
        except LookupError:
            raise ObjectChangedError(key) from None
        if present != data:
            raise ObjectChangedError(key)
        return info.etag

    def _stream(self, resume: Callable[[_T | None], Iterator[_T]]) -> Iterator[_T]:
        """Yields a stream's items, opening it again behind the last one after a failure."""
        last: _T | None = None
        items: Iterator[_T] | None = None

        def step() -> _T | None:
            nonlocal items
            if items is None:
                items = resume(last)
            try:
                return next(items, None)
            except UnavailableError:
                items = None
                raise

        while (item := self._repeat(step)) is not None:
            last = item
            yield item

    def _repeat(self, action: Callable[[], _T]) -> _T:
        began = self._clock()
        full_since: float | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                return action()
            except UnavailableError as error:
                now = self._clock()
                end = began + self._patience
                if self._full_patience is not None and isinstance(error, StoreFullError):
                    full_since = now if full_since is None else full_since
                    end = full_since + self._full_patience
                else:
                    full_since = None
                if now + pause > end or self._closed.is_set():
                    raise
            metrics.store_retries.add(1)
            self._closed.wait(random.uniform(pause / 2, pause))
            pause = min(pause * 2, _MAX_PAUSE)


def _from_start(spool: "tempfile.SpooledTemporaryFile[bytes]") -> Iterator[bytes]:
    spool.seek(0)
    return iter(lambda: spool.read(_CHUNK_BYTES), b"")

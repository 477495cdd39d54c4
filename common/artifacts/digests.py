"""SHA-256 of streams, computed beside the work of the thread that has the bytes."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

# Smaller chunks are hashed at once: handing them over would cost more.
_WORTH_BYTES = 64 * 1024
_MOST_WAITING = 4


class Sha256:
    """Hashes a stream in a thread of its own: hashing and waiting for the network overlap.

    The thread ends with this object, also where `hexdigest` is never called.

    Attributes:
        size: Bytes taken in so far.
    """

    def __init__(self) -> None:
        """Begins with no bytes; the thread starts when there is something worth it."""
        self.size = 0
        self._hash = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, chunk: bytes) -> None:
        """Takes bytes in; waits only where hashing is far behind."""
        self.size += len(chunk)
        if len(chunk) < _WORTH_BYTES or self.size == len(chunk):
            self._catch_up(0)
            self._hash.update(chunk)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "sha256")
        self._catch_up(_MOST_WAITING)
        self._waiting.append(self._thread.submit(self._hash.update, chunk))

    def hexdigest(self) -> str:
        """Returns the digest of all bytes in hexadecimal digits."""
        self._catch_up(0)
        return self._hash.hexdigest()

    def _catch_up(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()

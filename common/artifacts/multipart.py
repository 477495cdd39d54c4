"""Objects of unknown length: parts that are sent side by side while the next one is read."""

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import urllib3

from common.artifacts.protocol import Chunk
from common.errors import UnavailableError

Body = bytes | bytearray | memoryview
# At most 10,000 parts, so at most 160 GB.
PART_BYTES = 16 * 1024 * 1024
# With the one that is being read, three parts are in memory.
_PARALLEL = 2
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_COMPLETED = b"CompleteMultipartUploadResult"


class Send(Protocol):
    """Sends a request about one object."""

    def __call__(
        self, method: str, query: Mapping[str, str], body: Body = b""
    ) -> urllib3.BaseHTTPResponse:
        """Returns the answer. Raises what the store's methods do where it is no success."""
        ...


def upload(send: Send, chunks: Iterable[Chunk]) -> int:
    """Writes an object: in one request where it is small, else in parts; whole or not at all.

    Args:
        send: Sends requests about the object; used from several threads.
        chunks: The bytes.

    Returns:
        Number of bytes.
    """
    begun: _Upload | None = None
    try:
        for part in _parts(chunks):
            if begun is None and len(part) < PART_BYTES:
                send("PUT", {}, part)
                return len(part)
            begun = begun or _Upload(send)
            begun.add(part)
        assert begun is not None, "there is always a part"
        return begun.finish()
    except BaseException:
        if begun is not None:
            begun.abort()
        raise


class _Upload:
    """An upload in parts."""

    def __init__(self, send: Send) -> None:
        found = _UPLOAD_ID.search(send("POST", {"uploads": ""}).data)
        if found is None:
            raise UnavailableError("The object store cannot begin an upload; try again.")
        self._id = found[1].decode()
        self._send = send
        self._size = 0
        self._etags: list[str] = []
        self._sending: deque[Future[str]] = deque()
        self._pool = ThreadPoolExecutor(_PARALLEL, "upload")

    def add(self, part: Body) -> None:
        """Sends a part beside the others; waits for the oldest one where there are too many."""
        if len(self._sending) == _PARALLEL:
            self._etags.append(self._sending.popleft().result())
        number = len(self._etags) + len(self._sending) + 1
        self._sending.append(self._pool.submit(self._send_part, number, part))
        self._size += len(part)

    def finish(self) -> int:
        """Makes the object appear. Returns its size."""
        self._etags += [future.result() for future in self._sending]
        self._pool.shutdown()
        answer = self._send("POST", {"uploadId": self._id}, _manifest(self._etags))
        # An upload that cannot be completed may be told of behind a status of 200.
        if _COMPLETED not in answer.data:
            raise UnavailableError("The object store did not complete an upload; try again.")
        return self._size

    def abort(self) -> None:
        """Removes the parts once none is on its way any more."""
        self._pool.shutdown(cancel_futures=True)
        with contextlib.suppress(Exception):  # another error is the one to tell
            self._send("DELETE", {"uploadId": self._id})

    def _send_part(self, number: int, part: Body) -> str:
        answer = self._send("PUT", {"partNumber": str(number), "uploadId": self._id}, part)
        return str(answer.headers["ETag"])


def _manifest(etags: Iterable[str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _parts(chunks: Iterable[Chunk]) -> Iterator[Body]:
    """Yields the bytes in parts of equal size, the last one smaller; one where there are none.

    Chunks of that size are not copied.
    """
    part, is_first = bytearray(), True
    for chunk in chunks:
        if len(chunk) == PART_BYTES and not part:
            is_first = False
            yield chunk
            continue
        rest = memoryview(chunk)
        while len(part) + len(rest) >= PART_BYTES:
            taken = PART_BYTES - len(part)
            part += rest[:taken]
            rest = rest[taken:]
            full, part, is_first = part, bytearray(), False
            yield full
            del full  # it must not stay in memory while the next one is read
        part += rest
    if part or is_first:
        yield part

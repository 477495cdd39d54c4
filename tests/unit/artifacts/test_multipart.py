"""Uploads in parts, against an object store that is a dictionary, and hashing beside them."""

import hashlib
import threading
from collections.abc import Iterator, Mapping

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from common.artifacts import multipart
from common.artifacts.digests import Sha256
from common.errors import UnavailableError


class Server:
    """Answers like S3 for one object.

    Attributes:
        content: The object; None while there is none.
        sizes: Sizes of its parts.
        open: Ids of uploads that are neither completed nor aborted.
    """

    def __init__(self, broken: str = "", completed: bool = True) -> None:
        self.content: bytes | None = None
        self.sizes: list[int] = []
        self.open: set[str] = set()
        self._broken = broken
        self._completed = completed
        self._parts: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def __call__(
        self, method: str, query: Mapping[str, str], body: multipart.Body = b""
    ) -> urllib3.HTTPResponse:
        with self._lock:
            if query.get("partNumber") == self._broken:
                raise UnavailableError("away")
            return urllib3.HTTPResponse(*self._answer(method, query, bytes(body)))

    def _answer(
        self, method: str, query: Mapping[str, str], body: bytes
    ) -> tuple[bytes, dict[str, str]]:
        if "uploads" in query:
            self.open.add("one")
            return b"<UploadId>one</UploadId>", {}
        if "partNumber" in query:
            self._parts[int(query["partNumber"])] = body
            return b"", {"ETag": f'"{query["partNumber"]}"'}
        if method == "DELETE":
            self.open.discard(query["uploadId"])
            return b"", {}
        if method == "POST":
            if not self._completed:
                return b"<Error><Code>InternalError</Code></Error>", {}
            self.open.discard(query["uploadId"])
            body = b"".join(part for _, part in sorted(self._parts.items()))
            self.sizes = [len(part) for _, part in sorted(self._parts.items())]
        self.content = body
        return b"<CompleteMultipartUploadResult/>", {}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", 10)


@given(st.lists(st.binary(max_size=35), max_size=8))
@settings(max_examples=60)
def test_whatever_the_chunks_the_object_is_whole(chunks: list[bytes]) -> None:
    """Parts are full but the last, in order, and none is empty or lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "PART_BYTES", 10)
        server = Server()
        whole = b"".join(chunks)
        assert multipart.upload(server, iter(chunks)) == len(whole)
    assert server.content == whole
    assert not server.open
    assert all(size == 10 for size in server.sizes[:-1])
    assert 0 not in server.sizes


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("broken", ["1", "2", "3", "4"])
def test_a_part_that_cannot_be_sent_ends_the_upload(broken: str) -> None:
    """The error reaches the caller, nothing appears, and the parts are removed."""
    server = Server(broken)
    with pytest.raises(UnavailableError):
        multipart.upload(server, [b"x" * 35])
    assert server.content is None and not server.open


@pytest.mark.usefixtures("small_parts")
def test_a_source_that_fails_ends_the_upload() -> None:
    """Half an object is none."""

    def failing() -> Iterator[bytes]:
        yield b"x" * 25
        raise OSError("gone")

    server = Server()
    with pytest.raises(OSError, match="gone"):
        multipart.upload(server, failing())
    assert server.content is None and not server.open


@pytest.mark.usefixtures("small_parts")
def test_a_failure_behind_a_good_status_is_a_failure() -> None:
    """S3 may answer 200 and then say that the upload was not completed."""
    server = Server(completed=False)
    with pytest.raises(UnavailableError, match="complete"):
        multipart.upload(server, [b"x" * 25])
    assert server.content is None and not server.open


def test_a_digest_is_that_of_all_bytes_in_order() -> None:
    """Small chunks, hashed at once, do not overtake large ones that wait for the thread."""
    digest, expected = Sha256(), hashlib.sha256()
    for number in range(40):
        chunk = bytes([number]) * (200_000 if number % 3 else 10)
        digest.update(chunk)
        expected.update(chunk)
    assert digest.hexdigest() == expected.hexdigest()
    assert digest.size == sum(200_000 if number % 3 else 10 for number in range(40))
    assert Sha256().hexdigest() == hashlib.sha256().hexdigest()

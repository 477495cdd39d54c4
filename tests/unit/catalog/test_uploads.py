"""Uploads: parts, resume, check at the end, sweep."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from aimass.catalog.v1 import dataset_pb2, transfer_pb2
from common.artifacts.memory import MemoryStore
from common.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    FailedPreconditionError,
    InvalidFieldError,
    NotFoundError,
)
from common.records import RecordStore
from services.catalog.domain import uploads as uploads_module
from services.catalog.domain.uploads import (
    UnusedUploads,
    Uploads,
    UploadWriter,
    fetch_upload,
)

CONTENT = bytes(range(256)) * 10
NAME = "uploads/u"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 1,000 bytes."""
    monkeypatch.setattr(uploads_module, "PART_BYTES", 1000)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def uploads(store: MemoryStore) -> Uploads:
    return Uploads(store, RecordStore(store))


def header(
    content: bytes = CONTENT, offset: int = 0, name: str = NAME
) -> transfer_pb2.UploadHeader:
    """Returns the header of an upload."""
    return transfer_pb2.UploadHeader(
        name=name,
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        offset=offset,
        filename="f.csv",
    )


def changed_header(changed: Mapping[str, object]) -> transfer_pb2.UploadHeader:
    """Returns the header of an upload with some fields changed."""
    whole = header()
    for field, value in changed.items():
        setattr(whole, field, value)
    return whole


def send(writer: "transfer_pb2.Upload | UploadWriter", content: bytes) -> UploadWriter:
    """Sends bytes in chunks of 300."""
    assert isinstance(writer, UploadWriter)
    for start in range(0, len(content), 300):
        if writer.add(content[start : start + 300]):
            writer.flush()
    return writer


def test_whole(uploads: Uploads, store: MemoryStore) -> None:
    """Bytes in bounded parts come out as they went in; a repeat returns the complete upload."""
    upload = send(uploads.begin(header()), CONTENT).finish()
    assert upload.complete
    assert upload.committed_bytes == len(CONTENT)
    sizes = [info.size for info in store.list("uploads/u/")]
    assert sizes == [1000, 1000, 560]
    assert b"".join(fetch_upload(store, upload)) == CONTENT
    repeat = uploads.begin(header())
    assert isinstance(repeat, transfer_pb2.Upload)
    assert repeat.complete


def test_resume(uploads: Uploads, store: MemoryStore) -> None:
    """After a broken connection the upload goes on from the parts that are stored."""
    send(uploads.begin(header()), CONTENT[:1700])
    upload = uploads.get(NAME)
    assert (upload.committed_bytes, upload.complete) == (1000, False)
    done = send(uploads.begin(header(offset=1000)), CONTENT[1000:]).finish()
    assert done.complete
    assert b"".join(fetch_upload(store, done)) == CONTENT


def test_resume_when_only_the_check_was_missing(uploads: Uploads) -> None:
    """All parts may be there although nobody completed the upload."""
    content = CONTENT[:2000]
    send(uploads.begin(header(content)), content)
    assert uploads.get(NAME).committed_bytes == 2000
    assert send(uploads.begin(header(content, offset=2000)), b"").finish().complete


def test_truncated(uploads: Uploads) -> None:
    """Too few bytes: the caller learns from where to go on."""
    writer = send(uploads.begin(header()), CONTENT[:1700])
    with pytest.raises(InvalidFieldError, match="go on from offset 1000") as caught:
        writer.finish()
    assert caught.value.reason == "TRUNCATED_UPLOAD"
    assert not uploads.get(NAME).complete


def test_wrong_digest(uploads: Uploads, store: MemoryStore) -> None:
    """Other bytes than announced are thrown away; the right ones may follow."""
    writer = send(uploads.begin(header()), CONTENT[::-1])
    with pytest.raises(InvalidFieldError) as caught:
        writer.finish()
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert caught.value.violations[0].field == "header.sha256"
    assert not list(store.list("uploads/u/"))
    assert send(uploads.begin(header()), CONTENT).finish().complete


def test_damage_of_a_stored_part_is_found_on_resume(uploads: Uploads, store: MemoryStore) -> None:
    """The digest covers what an earlier connection stored."""
    send(uploads.begin(header()), CONTENT[:1000])
    store.write("uploads/u/0000000000000000", bytes(1000))
    writer = send(uploads.begin(header(offset=1000)), CONTENT[1000:])
    with pytest.raises(InvalidFieldError, match="SHA-256"):
        writer.finish()


def test_too_many_bytes(uploads: Uploads) -> None:
    """More bytes than announced are refused at once."""
    writer = uploads.begin(header(CONTENT[:100]))
    assert isinstance(writer, UploadWriter)
    with pytest.raises(InvalidFieldError) as caught:
        writer.add(bytes(101))
    assert caught.value.reason == "UPLOAD_TOO_LONG"


def test_newer_connection_takes_over(uploads: Uploads) -> None:
    """A client that came back is not disturbed by its own dead connection."""
    old = uploads.begin(header())
    new = uploads.begin(header())
    with pytest.raises(ConflictError):
        send(old, CONTENT)
    assert send(new, CONTENT).finish().complete
    assert isinstance(old, UploadWriter)
    uploads.end(old)


def test_other_content_under_the_same_name(uploads: Uploads) -> None:
    """A name stands for one file."""
    uploads.begin(header())
    with pytest.raises(AlreadyExistsError, match="another file"):
        uploads.begin(header(b"other"))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "uploads/../x"}, "header.name"),
        ({"name": "u"}, "header.name"),
        ({"total_bytes": 0}, "header.total_bytes"),
        ({"total_bytes": 2**40 + 1}, "header.total_bytes"),
        ({"sha256": "abc"}, "header.sha256"),
        ({"sha256": "A" * 64}, "header.sha256"),
        ({"offset": -1}, "header.offset"),
        ({"offset": 7}, "header.offset"),
        ({"filename": "x" * 1025}, "header.filename"),
    ],
)
def test_bad_headers(uploads: Uploads, changed: dict[str, object], field: str) -> None:
    """Each field of the header is checked before anything is stored."""
    with pytest.raises(InvalidFieldError) as caught:
        uploads.begin(changed_header(changed))
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize("chunk", [b"", bytes(1024 * 1024 + 1)])
def test_bad_chunks(uploads: Uploads, chunk: bytes) -> None:
    """Chunks have bounds."""
    writer = uploads.begin(changed_header({"total_bytes": 2**30}))
    assert isinstance(writer, UploadWriter)
    with pytest.raises(InvalidFieldError, match="chunk"):
        writer.add(chunk)


def test_require_complete(uploads: Uploads) -> None:
    """An import's error names its field and says what to do."""
    with pytest.raises(NotFoundError) as missing:
        uploads.require_complete(NAME, "spec.upload")
    assert missing.value.violations[0].field == "spec.upload"
    send(uploads.begin(header()), CONTENT[:1700])
    with pytest.raises(FailedPreconditionError, match="1000 of 2560 bytes") as incomplete:
        uploads.require_complete(NAME, "spec.upload")
    assert incomplete.value.violations[0].field == "spec.upload"


def test_bytes_that_changed_after_the_check(uploads: Uploads, store: MemoryStore) -> None:
    """An import never works on other bytes than were checked."""
    upload = send(uploads.begin(header()), CONTENT).finish()
    store.write("uploads/u/0000000000001000", bytes(1000))
    with pytest.raises(DataLossError, match="have changed"):
        list(fetch_upload(store, upload))
    store.delete("uploads/u/0000000000001000")
    with pytest.raises(DataLossError, match="are gone"):
        list(fetch_upload(store, upload))


def test_sweep() -> None:
    """Uploads that nobody used go after their time, with their parts; used and young ones stay."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = MemoryStore(clock=lambda: now[0])
    records = RecordStore(store)
    uploads = Uploads(store, records)
    for name in ("old", "used"):
        full = f"uploads/{name}"
        send(uploads.begin(header(name=full)), CONTENT).finish()
    records.create(dataset_pb2.DatasetImport(name="datasetImports/i"), references=["uploads/used"])
    now[0] += timedelta(hours=30)
    send(uploads.begin(header(name="uploads/young")), CONTENT[:1500])
    unused = UnusedUploads(uploads, timedelta(hours=24))
    found = list(unused.find(None))
    assert [(garbage.name, garbage.kind) for garbage in found] == [("uploads/old", "upload")]
    assert found[0].size_bytes > 0
    assert all(unused.remove(garbage) for garbage in found)
    assert not list(store.list("uploads/old/"))
    assert uploads.get("uploads/used").complete
    assert uploads.get("uploads/young").committed_bytes == 1000
    with pytest.raises(NotFoundError):
        uploads.get("uploads/old")

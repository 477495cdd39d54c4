"""Uploads: bytes that arrive in chunks and are kept as parts until all are there."""

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta

from aimass.catalog.v1 import transfer_pb2
from common.artifacts import ObjectInfo, ObjectStore
from common.artifacts.purge import purge_prefix
from common.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    FailedPreconditionError,
    FieldViolation,
    InvalidFieldError,
    NotFoundError,
)
from common.maintenance.sweeping import Garbage
from common.names import UploadName
from common.records import RecordStore
from common.wording import quoted

PART_BYTES = 8 * 1024 * 1024
MAX_CHUNK_BYTES = 1024 * 1024
_MAX_TOTAL_BYTES = 2**40
_MAX_FILENAME = 1024
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Uploads:
    """The suite's uploads. Safe to use from several threads.

    Parts begin at multiples of `PART_BYTES`, so that a second try writes the same objects again. An
    upload counts as complete only after all its bytes were hashed.
    """

    def __init__(self, store: ObjectStore, records: RecordStore) -> None:
        """Works on the uploads in a store."""
        self._store = store
        self._records = records
        self._writers: dict[str, UploadWriter] = {}

    def get(self, name: str) -> transfer_pb2.Upload:
        """Returns an upload with what is stored of it so far. Raises `NotFoundError`."""
        upload = self._records.get(name, transfer_pb2.Upload).resource
        if upload.complete:
            upload.committed_bytes = upload.total_bytes
            return upload
        for info in self._parts(name):
            if info.key != part_key(name, upload.committed_bytes):
                break
            upload.committed_bytes += info.size
            upload.update_time.FromDatetime(info.modified)
        return upload

    def require_complete(self, name: str, field: str) -> transfer_pb2.Upload:
        """Returns a complete upload.

        Args:
            name: The upload.
            field: Path of the field that names it.

        Raises:
            NotFoundError: There is no such upload.
            FailedPreconditionError: It is not complete.
        """
        try:
            upload = self.get(name)
        except NotFoundError:
            problem = f"{name} does not exist; upload the file first"
            raise NotFoundError(
                f"{field}: {problem}.",
                reason="UPLOAD_NOT_FOUND",
                violations=[FieldViolation(field, problem)],
            ) from None
        if not upload.complete:
            problem = (
                f"{name} has {upload.committed_bytes} of {upload.total_bytes} bytes; go on "
                "uploading from there"
            )
            raise FailedPreconditionError(
                f"{field}: {problem}.",
                reason="UPLOAD_INCOMPLETE",
                violations=[FieldViolation(field, problem)],
            )
        return upload

    def begin(self, header: transfer_pb2.UploadHeader) -> "transfer_pb2.Upload | UploadWriter":
        """Begins an upload or goes on with it.

        Args:
            header: What will follow.

        Returns:
            The upload where it is complete already, else what takes the chunks.

        Raises:
            InvalidFieldError: Names the field of the header.
            AlreadyExistsError: There is an upload of other content under that name.
        """
        _check_header(header)
        try:
            upload = self._create(header)
        except AlreadyExistsError:
            upload = self._same(header)
        if upload.complete:
            return upload
        if header.offset not in (0, upload.committed_bytes):
            raise InvalidFieldError(
                "header.offset",
                f"must be 0 or {upload.committed_bytes}, the bytes stored so far",
                reason="BAD_OFFSET",
            )
        writer = UploadWriter(self._store, self._records, upload, header.offset)
        former = self._writers.get(header.name)
        if former is not None:
            former.supersede()
        self._writers[header.name] = writer
        return writer

    def end(self, writer: "UploadWriter") -> None:
        """Forgets a writer whose connection has ended."""
        if self._writers.get(writer.name) is writer:
            del self._writers[writer.name]

    def find_unused(self, older_than: timedelta) -> Iterator[Garbage]:
        """Yields uploads that no import uses and that have not changed for so long."""
        for record in self._records.find(UploadName.collection, transfer_pb2.Upload):
            age = self._age(record.name)
            if age > older_than and not self._records.referrers(record.name):
                parts = list(self._parts(record.name))
                yield Garbage(
                    name=record.name,
                    kind="upload",
                    reason="No import uses it.",
                    object_count=len(parts),
                    size_bytes=sum(info.size for info in parts),
                    age=age,
                )

    def remove_unused(self, name: str) -> bool:
        """Deletes an upload unless an import uses it by now. Returns whether it is gone."""
        try:
            self._records.delete(name, transfer_pb2.Upload, purge=[f"{name}/"])
        except FailedPreconditionError:
            return False
        except NotFoundError:
            pass  # another process was faster
        return True

    def _create(self, header: transfer_pb2.UploadHeader) -> transfer_pb2.Upload:
        upload = transfer_pb2.Upload(
            name=header.name,
            total_bytes=header.total_bytes,
            sha256=header.sha256,
            filename=header.filename,
        )
        upload.update_time.GetCurrentTime()
        return self._records.create(upload).resource

    def _same(self, header: transfer_pb2.UploadHeader) -> transfer_pb2.Upload:
        upload = self.get(header.name)
        if (upload.total_bytes, upload.sha256) != (header.total_bytes, header.sha256):
            raise AlreadyExistsError(
                f"{header.name} is an upload of another file; choose another name.",
                violations=[FieldViolation("header.name", "is taken; choose another name")],
            )
        return upload

    def _parts(self, name: str) -> Iterator[ObjectInfo]:
        return self._store.list(f"{name}/")

    def _age(self, name: str) -> timedelta:
        """Returns the time since an upload last changed, by the store's clock."""
        record = self._store.stat(f"records/{name}.json")
        changed = max([record.modified, *(info.modified for info in self._parts(name))])
        return record.now - changed


class UnusedUploads:
    """Uploads that no import used, as garbage; see `Sweeper`."""

    def __init__(self, uploads: Uploads, keep: timedelta) -> None:
        """Prepares.

        Args:
            uploads: The uploads.
            keep: How long one that has not changed stays.
        """
        self._uploads = uploads
        self._keep = keep

    def find(self, older_than: timedelta | None) -> Iterator[Garbage]:
        """Yields the uploads; see `Sweeper`."""
        return self._uploads.find_unused(self._keep if older_than is None else older_than)

    def remove(self, garbage: Garbage) -> bool:
        """Deletes an upload; see `Sweeper`."""
        return self._uploads.remove_unused(garbage.name)


class UploadWriter:
    """Takes the chunks of one connection. `add` is quick; `flush` and `finish` wait for the store.

    Attributes:
        name: Name of the upload.
    """

    def __init__(
        self, store: ObjectStore, records: RecordStore, upload: transfer_pb2.Upload, offset: int
    ) -> None:
        """Goes on from an offset, whose bytes before it are read again for the digest."""
        self.name = upload.name
        self._store = store
        self._records = records
        self._upload = upload
        self._sha256 = hashlib.sha256()
        self._position = 0
        self._buffer = bytearray()
        self._superseded = False
        for part in read_parts(store, upload.name, offset):
            self._sha256.update(part)
            self._position += len(part)

    def add(self, chunk: bytes) -> bool:
        """Takes the next bytes.

        Returns:
            Whether a part is full and `flush` must be called before the next chunk.

        Raises:
            InvalidFieldError: The chunk is empty or too large, or there are more bytes than
                announced.
        """
        if not 0 < len(chunk) <= MAX_CHUNK_BYTES:
            raise InvalidFieldError(
                "chunk", f"must be 1 to {MAX_CHUNK_BYTES} bytes, not {len(chunk)}"
            )
        if self._position + len(self._buffer) + len(chunk) > self._upload.total_bytes:
            raise InvalidFieldError(
                "header.total_bytes",
                f"{self._upload.total_bytes} bytes were announced and more arrived; announce the "
                "size of the whole",
                reason="UPLOAD_TOO_LONG",
            )
        self._buffer += chunk
        return len(self._buffer) >= PART_BYTES

    def supersede(self) -> None:
        """Stops this writer: a newer connection goes on with the upload."""
        self._superseded = True

    def flush(self) -> None:
        """Stores full parts.

        Raises:
            ConflictError: A newer connection goes on with the upload.
        """
        while len(self._buffer) >= PART_BYTES:
            self._store_part(PART_BYTES)

    def finish(self) -> transfer_pb2.Upload:
        """Stores the rest and completes the upload.

        Raises:
            InvalidFieldError: Bytes are missing (TRUNCATED_UPLOAD; go on from those that are
                stored), or the digest is another (DIGEST_MISMATCH; begin anew).
            ConflictError: A newer connection goes on with the upload.
        """
        self.flush()
        received = self._position + len(self._buffer)
        if received < self._upload.total_bytes:
            raise InvalidFieldError(
                "header.total_bytes",
                f"{self._upload.total_bytes} bytes were announced and {received} arrived; go on "
                f"from offset {self._position}",
                reason="TRUNCATED_UPLOAD",
            )
        if self._buffer:
            self._store_part(len(self._buffer))
        digest = self._sha256.hexdigest()
        if digest != self._upload.sha256:
            purge_prefix(self._store, f"{self.name}/")
            raise InvalidFieldError(
                "header.sha256",
                f"the bytes that arrived have the SHA-256 {digest}; upload the file again from "
                "offset 0",
                reason="DIGEST_MISMATCH",
            )
        return self._records.update(self.name, transfer_pb2.Upload, _completed).resource

    def _store_part(self, size: int) -> None:
        if self._superseded:
            raise ConflictError("A newer connection goes on with this upload.")
        part = bytes(self._buffer[:size])
        self._store.write(part_key(self.name, self._position), part)
        self._sha256.update(part)
        self._position += size
        del self._buffer[:size]


def part_key(name: str, offset: int) -> str:
    """Returns the key of the part of an upload that begins at an offset."""
    return f"{name}/{offset:016d}"


def read_parts(store: ObjectStore, name: str, size: int) -> Iterator[bytes]:
    """Yields the first bytes of an upload, a part at a time.

    Raises:
        DataLossError: A part is gone.
    """
    position = 0
    while position < size:
        try:
            part, _ = store.read(part_key(name, position))
        except LookupError:
            raise DataLossError(f"Bytes of {name} are gone; upload the file again.") from None
        yield part
        position += len(part)


def fetch_upload(store: ObjectStore, upload: transfer_pb2.Upload) -> Iterator[bytes]:
    """Yields the bytes of a complete upload.

    Raises:
        DataLossError: At the end, where they do not match the digest any more.
    """
    sha256 = hashlib.sha256()
    for part in read_parts(store, upload.name, upload.total_bytes):
        sha256.update(part)
        yield part
    if sha256.hexdigest() != upload.sha256:
        raise DataLossError(f"Bytes of {upload.name} have changed; upload the file again.")


def _completed(upload: transfer_pb2.Upload) -> transfer_pb2.Upload:
    upload.complete = True
    upload.committed_bytes = upload.total_bytes
    upload.update_time.GetCurrentTime()
    return upload


def _check_header(header: transfer_pb2.UploadHeader) -> None:
    UploadName.from_name(header.name, "header.name")
    if not 1 <= header.total_bytes <= _MAX_TOTAL_BYTES:
        raise InvalidFieldError(
            "header.total_bytes",
            f"must be 1 to {_MAX_TOTAL_BYTES}, not {header.total_bytes}; an empty file cannot be "
            "imported",
        )
    if _SHA256.fullmatch(header.sha256) is None:
        raise InvalidFieldError(
            "header.sha256",
            f"must be 64 lower-case hexadecimal digits, not {quoted(header.sha256)}",
        )
    if header.offset < 0:
        raise InvalidFieldError("header.offset", f"must be at least 0, not {header.offset}")
    if len(header.filename) > _MAX_FILENAME:
        raise InvalidFieldError(
            "header.filename",
            f"must have at most {_MAX_FILENAME} characters, not {len(header.filename)}",
        )

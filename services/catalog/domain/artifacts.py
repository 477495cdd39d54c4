"""Artifacts as clients name them: checked references, checked bytes."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aimass.type.v1 import artifact_pb2
from common.artifacts import ObjectMissingError, ObjectStore
from common.artifacts.blobs import artifact_key
from common.errors import DataLossError, FieldViolation, InvalidFieldError, NotFoundError
from common.wording import quoted

_OPEN_PREFIX = "runs/"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DIGITS = "must be 64 lower-case hexadecimal digits"
_LIFETIME = timedelta(hours=1)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=7)

# Makes the address of a key that works for a time.
Sign = Callable[[str, timedelta], str]


@dataclass(frozen=True)
class Address:
    """Where an artifact can be downloaded, and until when."""

    url: str
    expires: datetime


def describe(
    store: ObjectStore, ref: artifact_pb2.ArtifactRef, field: str
) -> artifact_pb2.ArtifactRef:
    """Returns a reference with size and digest filled in.

    What the caller says is checked against the store, the digest only once the bytes are read; a
    digest that is not given is computed, which reads the object once.

    Args:
        store: The suite's store.
        ref: What the caller named; only `uri` is required.
        field: Path of the reference in the request.

    Raises:
        InvalidFieldError: It points elsewhere than `runs/` of the suite's bucket, or its size or
            digest cannot be right.
        NotFoundError: There is no such object.
    """
    key = _open_key(store, ref, field)
    if ref.sha256 and _SHA256.fullmatch(ref.sha256) is None:
        raise InvalidFieldError(f"{field}.sha256", f"{_DIGITS}, not {quoted(ref.sha256)}")
    size = _size(store, key, ref, field)
    if ref.size_bytes not in (0, size):
        raise InvalidFieldError(
            f"{field}.size_bytes", f"the artifact has {size} bytes, not {ref.size_bytes}"
        )
    described = artifact_pb2.ArtifactRef()
    described.CopyFrom(ref)
    described.size_bytes = size
    described.sha256 = ref.sha256 or _digest(store, key)
    return described


def require_stored(store: ObjectStore, ref: artifact_pb2.ArtifactRef, field: str) -> None:
    """Checks that an artifact is in the store as its reference says; does not read it.

    Args:
        store: The suite's store.
        ref: The reference, with size and digest.
        field: Path of the reference in the request.

    Raises:
        InvalidFieldError: The reference is not complete or not right.
        NotFoundError: There is no such object.
    """
    if _SHA256.fullmatch(ref.sha256) is None:
        raise InvalidFieldError(f"{field}.sha256", f"{_DIGITS}, not {quoted(ref.sha256)}")
    if ref.size_bytes < 1:
        raise InvalidFieldError(
            f"{field}.size_bytes", f"must be the artifact's size, not {ref.size_bytes}"
        )
    describe(store, ref, field)


def read_from(store: ObjectStore, ref: artifact_pb2.ArtifactRef, offset: int) -> Iterator[bytes]:
    """Yields an artifact's bytes from an offset on.

    All bytes are read and hashed, also those before the offset, and the last chunk is held back
    until the digest is right: a damaged artifact never arrives whole.

    Args:
        store: The suite's store.
        ref: The reference, with size and digest.
        offset: Position of the first byte wanted.

    Raises:
        InvalidFieldError: The offset lies behind the end.
        DataLossError: The bytes do not match the digest, or are gone.
    """
    if not 0 <= offset <= ref.size_bytes:
        raise InvalidFieldError(
            "offset", f"must be 0 to {ref.size_bytes}, the artifact's size; it is {offset}"
        )
    sha256 = hashlib.sha256()
    position, held = 0, b""
    try:
        for chunk in store.download(artifact_key(store, ref)):
            sha256.update(chunk)
            wanted = chunk[max(0, offset - position) :]
            position += len(chunk)
            if wanted:
                if held:
                    yield held
                held = wanted
    except ObjectMissingError:
        raise DataLossError(f"The artifact {ref.uri} is gone.") from None
    if sha256.hexdigest() != ref.sha256:
        raise DataLossError(f"The artifact {ref.uri} is damaged: its digest does not match.")
    if held:
        yield held


def download_address(
    store: ObjectStore, ref: artifact_pb2.ArtifactRef, lifetime: timedelta | None, sign: Sign
) -> Address:
    """Returns an address from which an artifact can be downloaded without a token.

    Args:
        store: The suite's store.
        ref: The artifact; only `uri` is required.
        lifetime: How long the address is good for; None for an hour.
        sign: Makes the address of a key.

    Raises:
        InvalidFieldError: The reference points elsewhere, or the lifetime is too short or too long.
        NotFoundError: There is no such object.
    """
    lasting = _LIFETIME if lifetime is None else lifetime
    if not _SHORTEST <= lasting <= _LONGEST:
        raise InvalidFieldError(
            "lifetime", f"must be 1 s to 7 days, not {lasting.total_seconds():g} s"
        )
    key = _open_key(store, ref, "artifact")
    _size(store, key, ref, "artifact")
    return Address(sign(key, lasting), datetime.now(UTC) + lasting)


def _open_key(store: ObjectStore, ref: artifact_pb2.ArtifactRef, field: str) -> str:
    key = artifact_key(store, ref, f"{field}.uri")
    if not key.startswith(_OPEN_PREFIX):
        raise InvalidFieldError(
            f"{field}.uri",
            f"must lie under `s3://{store.bucket}/{_OPEN_PREFIX}`, unlike {quoted(ref.uri)}",
            reason="INVALID_URI",
        )
    return key


def _size(store: ObjectStore, key: str, ref: artifact_pb2.ArtifactRef, field: str) -> int:
    try:
        return store.stat(key).size
    except ObjectMissingError:
        problem = f"there is no artifact {quoted(ref.uri)}; see what its run or version lists"
        raise NotFoundError(
            f"{field}: {problem}.", violations=[FieldViolation(field, problem)]
        ) from None


def _digest(store: ObjectStore, key: str) -> str:
    sha256 = hashlib.sha256()
    for chunk in store.download(key):
        sha256.update(chunk)
    return sha256.hexdigest()

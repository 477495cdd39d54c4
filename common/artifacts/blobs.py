"""Artifacts: bytes with a reference that carries size and SHA-256."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from aimass.type.v1.artifact_pb2 import ArtifactRef
from common.artifacts.digests import Sha256
from common.artifacts.protocol import ObjectMissingError, ObjectStore, check_key
from common.errors import DataLossError, InvalidFieldError
from common.wording import quoted

_SCHEME = "s3://"
_CHUNK_BYTES = 256 * 1024


class FileChunks:
    """The bytes of a file in chunks; may be iterated again and again."""

    def __init__(self, path: Path) -> None:
        """Reads `path` whenever it is iterated."""
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        """Yields the file's bytes."""
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk


class _Hashing:
    """Chunks that are hashed on their way.

    Attributes:
        digest: SHA-256 of the last complete pass, in hexadecimal digits.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.digest = ""

    def __iter__(self) -> Iterator[bytes]:
        sha256 = Sha256()
        for chunk in self._chunks:
            sha256.update(chunk)
            yield chunk
        self.digest = sha256.hexdigest()


def put_artifact(
    store: ObjectStore, key: str, content: bytes | Path | Iterable[bytes], media_type: str
) -> ArtifactRef:
    """Writes an artifact in bounded memory.

    Args:
        store: Where to.
        key: Object key.
        content: The bytes, a file, or chunks.
        media_type: IANA media type.

    Returns:
        The reference, with the SHA-256 of what was sent.
    """
    chunks = _Hashing(_chunked(content))
    # A generator can be read once only, and must not look as if it could be read again.
    once = isinstance(content, Iterator)
    size = store.upload(key, iter(chunks) if once else chunks)
    return ArtifactRef(
        uri=artifact_uri(store, key), sha256=chunks.digest, size_bytes=size, media_type=media_type
    )


def read_artifact(store: ObjectStore, ref: ArtifactRef) -> Iterator[bytes]:
    """Yields the bytes of an artifact in chunks.

    Raises:
        DataLossError: At the end, if size or SHA-256 are not what the reference says; at once, if
            the object is gone. What was yielded before must be thrown away.
        InvalidFieldError: If the reference points outside the store.
    """
    sha256 = Sha256()
    try:
        for chunk in store.download(artifact_key(store, ref)):
            sha256.update(chunk)
            yield chunk
    except ObjectMissingError:
        raise DataLossError(f"The artifact {ref.uri} is gone.") from None
    if sha256.size != ref.size_bytes or sha256.hexdigest() != ref.sha256:
        raise DataLossError(f"The artifact {ref.uri} is damaged: its digest does not match.")


def fetch_artifact(store: ObjectStore, ref: ArtifactRef, path: Path) -> None:
    """Writes an artifact to a file, which appears whole and checked or not at all.

    Raises:
        DataLossError: See `read_artifact`.
        InvalidFieldError: See `read_artifact`.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(read_artifact(store, ref))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def artifact_uri(store: ObjectStore, key: str) -> str:
    """Returns the URI of a key."""
    return f"{_SCHEME}{store.bucket}/{key}"


def artifact_key(store: ObjectStore, ref: ArtifactRef, field: str = "artifact.uri") -> str:
    """Returns the object key of a reference.

    Args:
        store: The store that it must point into.
        ref: The reference.
        field: Path of the field it came from, for the error.

    Raises:
        InvalidFieldError: If it points elsewhere or its key is unsafe.
    """
    prefix = artifact_uri(store, "")
    if not ref.uri.startswith(prefix):
        raise InvalidFieldError(
            field,
            f"must begin with `{prefix}`, "
            + (f"unlike {quoted(ref.uri)}" if ref.uri else "and is empty"),
            reason="INVALID_URI",
        )
    try:
        return check_key(ref.uri.removeprefix(prefix))
    except ValueError as error:
        raise InvalidFieldError(field, str(error), reason="INVALID_URI") from None


def _chunked(content: bytes | Path | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(content, bytes):
        return [content]
    return FileChunks(content) if isinstance(content, Path) else content

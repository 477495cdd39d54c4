"""Compressed files as plain ones, in bounded memory and disk space."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from services.catalog.domain.fields import bad_file

_CHUNK_BYTES = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def compression_of(path: Path) -> str | None:
    """Returns `gzip`, `zstd` or None, by the first bytes of a file."""
    start = _start(path)
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def unpacked(path: Path, scratch: Path, max_bytes: int) -> Path:
    """Returns the file, decompressed where it is a gzip or zstd file.

    Args:
        path: The file; its first bytes tell.
        scratch: Directory for the decompressed file.
        max_bytes: How large that may become.

    Raises:
        InvalidFieldError: The file is damaged, or larger than that once unpacked.
    """
    compression = compression_of(path)
    if compression is None:
        return path
    plain = scratch / "unpacked"
    size = 0
    with plain.open("wb") as file:
        for chunk in _decompressed(path, compression):
            size += len(chunk)
            if size > max_bytes:
                raise bad_file(
                    f"the file unpacks to more than {max_bytes:,} bytes, the most allowed; "
                    "split it",
                    "ARCHIVE_TOO_LARGE",
                )
            file.write(chunk)
    return plain


def _decompressed(path: Path, compression: str) -> Iterator[bytes]:
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, pa.ArrowException):
        raise bad_file(
            f"the {compression} file is cut off or damaged; upload it again", "UNREADABLE_FILE"
        ) from None


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)

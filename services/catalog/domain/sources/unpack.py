"""Compressed and otherwise encoded text files as plain UTF-8, in bounded memory and disk space."""

import codecs
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from common.errors import InvalidFieldError
from services.catalog.domain import fields
from services.catalog.domain.fields import bad_file

_CHUNK_BYTES = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_UTF8 = ("utf-8", "utf-8-sig", "ascii")


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


def as_utf8(path: Path, scratch: Path, encoding: str) -> Path:
    """Returns the file, written anew where it is not in UTF-8.

    Args:
        path: The file.
        scratch: Directory for the file as UTF-8.
        encoding: Its encoding; empty to go by its byte order mark.

    Raises:
        InvalidFieldError: The encoding is unknown, or the file is not in it.
    """
    name = _codec(encoding) or _marked(_start(path))
    if name in _UTF8:
        return path
    plain = scratch / "utf-8"
    line = 1
    try:
        with path.open(encoding=name, newline="") as source, plain.open("wb") as file:
            while text := source.read(_CHUNK_BYTES):
                file.write(text.encode())
                line += text.count("\n")
    except UnicodeError:
        raise bad_file(
            f"the text is not {name}, somewhere after line {line}; give the right encoding",
            "UNREADABLE_FILE",
        ) from None
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


def _codec(encoding: str) -> str:
    if not encoding:
        return ""
    try:
        found = codecs.lookup(encoding)
        "".encode(found.name)  # some codecs are for bytes, not for text
    except (LookupError, ValueError):
        raise InvalidFieldError(
            fields.ENCODING,
            f"`{encoding}` is no text encoding that Python knows; use for example utf-8 or latin-1",
        ) from None
    return found.name


def _marked(start: bytes) -> str:
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)

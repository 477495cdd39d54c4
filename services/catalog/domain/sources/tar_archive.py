"""Tar archives, plain or compressed with gzip, bzip2 or Zstandard."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

import pyarrow as pa

from services.catalog.domain.sources.archive_files import (
    BOMB_BYTES,
    BOMB_RATIO,
    CHUNK_BYTES,
    Archive,
    ArchiveFile,
    ArchiveLimits,
    Survey,
    refuse,
)

_BLOCK = tarfile.BLOCKSIZE
_MAGIC, _MAGIC_AT = b"ustar", 257
# Headers and padding around each file.
_AROUND = 4 * _BLOCK
# Names and extended headers are no longer than this.
_MAX_HEADER = 1 << 20
_DAMAGES = (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError, TypeError)


_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}


def is_tar(start: bytes) -> bool:
    """Whether a file that starts so is a tar archive, or is compressed and may be one."""
    return start[_MAGIC_AT:].startswith(_MAGIC) or bool(_compression(start))


@contextmanager
def open_tar(path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
    """Opens a tar archive. See `open_archive`."""
    with path.open("rb") as file:
        compression = _compression(file.read(_BLOCK))
    plain = _decompressed(path, compression, limits) if compression else path
    with plain.open("rb") as raw:
        files = _look_through(raw, plain.stat().st_size, limits)
        yield Archive(files, lambda file: _read(raw, file))


def _compression(start: bytes) -> str:
    found = (name for magic, name in _COMPRESSIONS.items() if start.startswith(magic))
    return next(found, "")


def _decompressed(path: Path, compression: str, limits: ArchiveLimits) -> Path:
    """Returns the archive decompressed, which makes its files accessible in any order."""
    plain = path.with_name(f"{path.name}.tar")
    bomb = max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size)
    most = limits.max_total_bytes + limits.max_files * _AROUND + tarfile.RECORDSIZE
    size = 0
    try:
        with pa.input_stream(str(path), compression=compression) as source, plain.open("wb") as tar:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > min(bomb, most):
                    _refuse_large(size, bomb, limits)
                tar.write(chunk)
    except (OSError, EOFError, pa.ArrowException):
        refuse("the archive is damaged or cut off; make it again")
    return plain


def _refuse_large(size: int, bomb: int, limits: ArchiveLimits) -> NoReturn:
    if size > bomb:
        refuse(
            f"the archive grows to more than {BOMB_RATIO} times its size once unpacked, like a "
            "bomb; make it without compression",
            "ARCHIVE_TOO_LARGE",
        )
    refuse(
        f"the archive unpacks to more than {limits.max_total_bytes} bytes, the most that can be "
        "imported; split it into several uploads",
        "ARCHIVE_TOO_LARGE",
    )


class _Headers(io.RawIOBase):
    """What tarfile reads headers from: no header may make it read everything into memory."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()


def _look_through(raw: BinaryIO, size: int, limits: ArchiveLimits) -> list[ArchiveFile]:
    survey = Survey(limits)
    files = []
    try:
        with tarfile.TarFile(fileobj=_Headers(raw)) as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                survey.count()
                name = survey.check_path(info.name)
                if not info.isdir():
                    files.append(_check_file(info, name, size, survey))
            end = tar.offset
    except _DAMAGES as error:
        refuse(f"the file is no tar archive, or is damaged or cut off: {error}; make it again")
    # tarfile takes a header that it cannot read for the end.
    raw.seek(end)
    if raw.read(_BLOCK) != bytes(_BLOCK):
        refuse(f"the archive is damaged or cut off at byte {end}; make it again")
    return files


def _check_file(info: tarfile.TarInfo, name: str, size: int, survey: Survey) -> ArchiveFile:
    if info.issym() or info.islnk():
        refuse(f"`{name}` is a link; put the file itself into the archive")
    if info.issparse():
        refuse(f"`{name}` is a sparse file; make the archive without `--sparse`")
    if not info.isreg():
        refuse(f"`{name}` is a device or the like; take it out of the archive")
    if info.size < 0 or info.offset_data + info.size > size:
        refuse(f"the archive is cut off within `{name}`; make it again")
    survey.check_size(name, info.size)
    return ArchiveFile(name, info.size, info.offset_data)


def _read(raw: BinaryIO, file: ArchiveFile) -> Iterator[bytes]:
    position, end = file.position, file.position + file.file_size
    while position < end:
        raw.seek(position)
        chunk = raw.read(min(CHUNK_BYTES, end - position))
        if not chunk:
            return
        yield chunk
        position += len(chunk)

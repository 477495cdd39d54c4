"""Zip archives of strangers: looked through before anything is unpacked, watched while it is."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn

from services.catalog.domain.fields import bad_file

_CHUNK_BYTES = 1 << 20
_SYMLINK = stat.S_IFLNK
_END_RECORD = b"PK\x05\x06"
_END_LOCATOR = b"PK\x06\x07"
_END_SIZE = 22
_LOCATOR_SIZE = 20
_END64_SIZE = 56
_MAX_COMMENT = 65_535
_LOCAL_HEADER = 30
# An entry of this size that shrinks this well is taken for a bomb.
_BOMB_BYTES = 256 * 1024**2
_BOMB_RATIO = 200
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    NotImplementedError,
    ValueError,
)
_DIRECTORY_BYTES_PER_FILE = 512


@dataclass(frozen=True)
class ArchiveLimits:
    """How large an archive may be.

    Attributes:
        max_files: Entries, folders included.
        max_file_bytes: Size of one file once unpacked.
        max_total_bytes: Size of all files once unpacked.
    """

    max_files: int = 500_000
    max_file_bytes: int = 16 * 1024**3
    max_total_bytes: int = 16 * 1024**3


class Archive:
    """A zip archive that was found harmless by what it declares.

    What it declares is checked again while it is read: a file never gives more bytes than that.
    """

    def __init__(self, file: zipfile.ZipFile) -> None:
        """Wraps an archive that `open_archive` has checked."""
        self._file = file
        self.files = [info for info in file.infolist() if not info.is_dir()]

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yields the content of a file in chunks.

        Raises:
            InvalidFieldError: The file is damaged or larger than the archive says.
        """
        left = info.file_size
        try:
            with self._file.open(info) as content:
                while chunk := content.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        _refuse(f"`{info.filename}` is larger than the archive says")
                    yield chunk
        except _DAMAGES as error:
            raise bad_file(f"`{info.filename}` in the archive is damaged: {error}") from error
        if left:
            _refuse(f"`{info.filename}` is smaller than the archive says")

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Returns the content of a file. Raises `InvalidFieldError` as `chunks` does."""
        return b"".join(self.chunks(info))


@contextmanager
def open_archive(path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
    """Opens an archive after looking through all it declares.

    Args:
        path: The zip file.
        limits: How large it may be.

    Raises:
        InvalidFieldError: It is no zip archive, is too large once unpacked, or has entries that are
            encrypted, overlap, are links, or would land outside of a folder it is unpacked to.
    """
    with path.open("rb") as raw:
        _check_directory_size(raw, path.stat().st_size, limits)
        try:
            file = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
            raise bad_file(f"the file is not a zip archive: {error}", "BAD_ARCHIVE") from error
        with file:
            _check_entries(file.infolist(), path.stat().st_size, limits)
            yield Archive(file)


def _check_directory_size(raw: BinaryIO, size: int, limits: ArchiveLimits) -> None:
    """Bounds the table of contents before zipfile reads all of it into memory."""
    tail_size = min(size, _END64_SIZE + _LOCATOR_SIZE + _END_SIZE + _MAX_COMMENT)
    raw.seek(size - tail_size)
    tail = raw.read(tail_size)
    raw.seek(0)
    position = tail.rfind(_END_RECORD)
    if position < 0 or position + _END_SIZE > len(tail):
        _refuse("the file is not a zip archive")
    (directory_bytes,) = struct.unpack_from("<L", tail, position + 12)
    record = position - _LOCATOR_SIZE - _END64_SIZE
    if record >= 0 and tail[position - _LOCATOR_SIZE : position].startswith(_END_LOCATOR):
        (directory_bytes,) = struct.unpack_from("<Q", tail, record + 40)
    if directory_bytes > limits.max_files * _DIRECTORY_BYTES_PER_FILE:
        _refuse(f"the archive has too many entries; at most {limits.max_files} can be imported")


def _check_entries(entries: list[zipfile.ZipInfo], size: int, limits: ArchiveLimits) -> None:
    if len(entries) > limits.max_files:
        _refuse(
            f"the archive has {len(entries)} entries; at most {limits.max_files} can be imported"
        )
    names: set[str] = set()
    for info in entries:
        _check_entry(info, limits)
        if info.filename in names:
            _refuse(f"`{info.filename}` is in the archive twice; keep one of them")
        names.add(info.filename)
    total = sum(info.file_size for info in entries)
    if total > limits.max_total_bytes:
        _refuse(
            f"the archive unpacks to {total} bytes; at most {limits.max_total_bytes} can be "
            "imported; split it into several uploads",
            "ARCHIVE_TOO_LARGE",
        )
    _check_overlap(entries, size)


def _check_entry(info: zipfile.ZipInfo, limits: ArchiveLimits) -> None:
    name = info.filename
    # orig_filename still has what zipfile cuts off or replaces.
    raw_name = info.orig_filename
    parts = PurePosixPath(raw_name).parts
    if raw_name.startswith("/") or ".." in parts or "\\" in raw_name or raw_name[1:2] == ":":
        _refuse(f"`{name}` has a path outside of the archive; use relative paths without `..`")
    if "\0" in raw_name or not raw_name:
        _refuse(f"`{name}` is no valid file name; rename it")
    if stat.S_IFMT(info.external_attr >> 16) == _SYMLINK:
        _refuse(f"`{name}` is a symbolic link; put the file itself into the archive")
    if info.flag_bits & 1:
        _refuse(f"`{name}` is encrypted; make an archive without a password")
    if info.file_size > limits.max_file_bytes:
        _refuse(
            f"`{name}` unpacks to {info.file_size} bytes; at most {limits.max_file_bytes} can be "
            "imported",
            "ARCHIVE_TOO_LARGE",
        )
    if info.file_size > max(_BOMB_BYTES, _BOMB_RATIO * info.compress_size):
        _refuse(
            f"`{name}` grows to more than {_BOMB_RATIO} times its size once unpacked, like a zip "
            "bomb; make the archive without compression",
            "ARCHIVE_TOO_LARGE",
        )


def _check_overlap(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuses archives whose entries share bytes, by which a small one unpacks to a huge one."""
    end = 0
    for info in sorted(entries, key=lambda entry: entry.header_offset):
        if info.header_offset < end:
            _refuse(f"`{info.filename}` overlaps another entry of the archive")
        end = info.header_offset + _LOCAL_HEADER + len(info.filename) + info.compress_size
    if end > size:
        _refuse("the archive is cut off; make it again")


def _refuse(description: str, reason: str = "BAD_ARCHIVE") -> NoReturn:
    raise bad_file(description, reason)

"""Zip archives."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from services.catalog.domain.fields import bad_file
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

_END_RECORD = b"PK\x05\x06"
_END_LOCATOR = b"PK\x06\x07"
_END_SIZE = 22
_LOCATOR_SIZE = 20
_END64_SIZE = 56
_MAX_COMMENT = 65_535
_LOCAL_HEADER = 30
_ENTRY = b"PK\x01\x02"
_ENTRY_SIZE = 46
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    NotImplementedError,
    ValueError,
)


@contextmanager
def open_zip(path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
    """Opens a zip archive. See `open_archive`."""
    with path.open("rb") as raw:
        _count_entries(raw, path.stat().st_size, limits)
        try:
            file = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
            raise bad_file(
                f"the file is not a zip archive ({error}); make it again", "BAD_ARCHIVE"
            ) from error
        with file:
            entries = file.infolist()
            files = _check_entries(entries, path.stat().st_size, limits)
            yield Archive(files, lambda each: _read(file, entries[each.position]))


def _read(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with file.open(info) as content:
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
    except _DAMAGES as error:
        raise bad_file(
            f"`{info.filename}` in the archive is damaged ({error}); make the archive again",
            "BAD_ARCHIVE",
        ) from error


def _count_entries(raw: BinaryIO, size: int, limits: ArchiveLimits) -> None:
    """Walks through the table of contents before zipfile reads all of it into memory.

    What the archive says of the number of its entries is no bound: zipfile does not look at it.
    """
    start, end = _directory(raw, size)
    survey = Survey(limits)
    while start + _ENTRY_SIZE <= end:
        raw.seek(start)
        header = raw.read(_ENTRY_SIZE)
        if not header.startswith(_ENTRY):
            break  # zipfile says what is wrong
        survey.count()
        start += _ENTRY_SIZE + sum(struct.unpack_from("<HHH", header, 28))
    raw.seek(0)


def _directory(raw: BinaryIO, size: int) -> tuple[int, int]:
    """Returns where the table of contents begins and ends, as zipfile finds it."""
    tail_size = min(size, _END64_SIZE + _LOCATOR_SIZE + _END_SIZE + _MAX_COMMENT)
    raw.seek(size - tail_size)
    tail = raw.read(tail_size)
    position = tail.rfind(_END_RECORD)
    if position < 0 or position + _END_SIZE > len(tail):
        refuse("the file is not a zip archive, nor a tar archive, or is cut off; make it again")
    (directory_bytes,) = struct.unpack_from("<L", tail, position + 12)
    end = position
    record = position - _LOCATOR_SIZE - _END64_SIZE
    if record >= 0 and tail[position - _LOCATOR_SIZE : position].startswith(_END_LOCATOR):
        (directory_bytes,) = struct.unpack_from("<Q", tail, record + 40)
        end = record
    end += size - tail_size
    return max(0, end - directory_bytes), end


def _check_entries(
    entries: list[zipfile.ZipInfo], size: int, limits: ArchiveLimits
) -> list[ArchiveFile]:
    survey = Survey(limits)
    files = []
    for position, info in enumerate(entries):
        survey.count()
        # orig_filename still has what zipfile cuts off or replaces.
        name = survey.check_path(info.filename, info.orig_filename)
        _check_entry(info)
        survey.check_size(name, info.file_size)
        if not info.is_dir():
            files.append(ArchiveFile(name, info.file_size, position))
    _check_overlap(entries, size)
    return files


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        refuse(f"`{name}` is a symbolic link; put the file itself into the archive")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        refuse(f"`{name}` is a device or the like; take it out of the archive")
    if info.flag_bits & 1:
        refuse(f"`{name}` is encrypted; make an archive without a password")
    if info.file_size > max(BOMB_BYTES, BOMB_RATIO * info.compress_size):
        refuse(
            f"`{name}` grows to more than {BOMB_RATIO} times its size once unpacked, like a zip "
            "bomb; make the archive without compression",
            "ARCHIVE_TOO_LARGE",
        )


def _check_overlap(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuses archives whose entries share bytes, by which a small one unpacks to a huge one."""
    end = 0
    for info in sorted(entries, key=lambda entry: entry.header_offset):
        if info.header_offset < end:
            refuse(f"`{info.filename}` overlaps another entry; make the archive again")
        end = info.header_offset + _LOCAL_HEADER + len(info.filename) + info.compress_size
    if end > size:
        refuse("the archive is cut off; make it again")

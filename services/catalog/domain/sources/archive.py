"""Opens an archive, whatever its kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.catalog.domain.sources.archive_files import (
    Archive,
    ArchiveFile,
    ArchiveLimits,
    refuse,
)
from services.catalog.domain.sources.tar_archive import is_tar, open_tar
from services.catalog.domain.sources.zip_archive import open_zip

__all__ = ["Archive", "ArchiveFile", "ArchiveLimits", "open_archive"]

_START_BYTES = 512
_FOREIGN = {b"Rar!": "RAR", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"\xfd7zXZ": "XZ"}


@contextmanager
def open_archive(path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
    """Opens a zip or tar archive after looking through all it declares.

    Its first bytes say what it is. A compressed tar archive is decompressed beside itself.

    Args:
        path: The archive.
        limits: How large it may be.

    Raises:
        InvalidFieldError: It is no archive, is too large once unpacked, or has entries that are
            encrypted, overlap, are links or devices, or would land outside of a folder it is
            unpacked to.
    """
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    for magic, name in _FOREIGN.items():
        if start.startswith(magic):
            refuse(f"the file is a {name} archive; make a zip or tar archive")
    opened = open_tar if is_tar(start) else open_zip
    with opened(path, limits) as archive:
        yield archive

"""Opens a file as the source of its format."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.catalog.domain.sources.archive import ArchiveLimits, open_archive
from services.catalog.domain.sources.base import Source
from services.catalog.domain.sources.class_folders import open_class_folders
from services.catalog.domain.sources.csv_file import CsvSource
from services.catalog.domain.sources.npz_file import NpzSource
from services.catalog.domain.sources.spool import Spooled
from services.catalog.domain.spec import DataFormat, ImportSpec


@contextmanager
def open_source(
    path: Path,
    file_format: DataFormat | None,
    scratch: Path,
    spec: ImportSpec,
    limits: ArchiveLimits | None = None,
) -> Iterator[Source]:
    """Opens a file for import.

    Args:
        path: The file.
        file_format: What it is; None for an archive of class folders.
        scratch: Directory for intermediate files.
        spec: How it is to be read.
        limits: How large an archive or a compressed file may be.

    Raises:
        InvalidFieldError: The file is not of that format, or cannot be imported.
    """
    bounds = limits or ArchiveLimits()
    if file_format is DataFormat.CSV:
        yield Spooled(CsvSource(path, scratch, spec, bounds.max_file_bytes), scratch)
        return
    if file_format is DataFormat.NPZ:
        with open_archive(path, bounds) as archive:
            yield NpzSource(archive, scratch)
        return
    with open_class_folders(path, file_format, bounds) as source:
        yield source

"""Opens a file as the source of its format."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.catalog.domain.formats import DataFormat
from services.catalog.domain.sources.archive import ArchiveLimits, open_archive
from services.catalog.domain.sources.arff_file import ArffSource
from services.catalog.domain.sources.arrow_file import ArrowSource, IpcBatches, ParquetBatches
from services.catalog.domain.sources.base import Source
from services.catalog.domain.sources.class_folders import open_class_folders
from services.catalog.domain.sources.csv_file import CsvSource
from services.catalog.domain.sources.json_lines import JsonLinesSource
from services.catalog.domain.sources.libsvm_file import LibsvmSource
from services.catalog.domain.sources.npz_file import NpzSource
from services.catalog.domain.sources.recognition import check_kind
from services.catalog.domain.sources.spool import Spooled
from services.catalog.domain.sources.unpack import unpacked
from services.catalog.domain.spec import ImportSpec


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
    if file_format is not None:
        check_kind(path, file_format)
    table = _open_table(path, file_format, scratch, spec, bounds.max_file_bytes)
    if table is not None:
        yield table
        return
    if file_format is DataFormat.NPZ:
        with open_archive(path, bounds) as archive:
            yield NpzSource(archive, scratch)
        return
    with open_class_folders(path, file_format, bounds) as source:
        yield source


def _open_table(
    path: Path, file_format: DataFormat | None, scratch: Path, spec: ImportSpec, max_bytes: int
) -> Source | None:
    """Returns the source of a table; None where the format is of archives."""
    types = spec.column_types
    if file_format is DataFormat.PARQUET:
        return ArrowSource(ParquetBatches, path, types)
    if file_format is DataFormat.ARROW:
        return ArrowSource(IpcBatches, path, types)
    if file_format is DataFormat.CSV:
        return Spooled(CsvSource(path, scratch, spec, max_bytes), scratch)
    if file_format is DataFormat.JSON_LINES:
        plain = unpacked(path, scratch, max_bytes)
        return Spooled(JsonLinesSource(plain, scratch, types), scratch)
    if file_format is DataFormat.ARFF:
        return Spooled(ArffSource(unpacked(path, scratch, max_bytes)), scratch)
    if file_format is DataFormat.LIBSVM:
        return LibsvmSource(unpacked(path, scratch, max_bytes), max_bytes)
    return None

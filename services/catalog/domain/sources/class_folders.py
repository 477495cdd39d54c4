"""Opens an archive of class folders as a source of images or of texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.catalog.domain.formats import DataFormat
from services.catalog.domain.sources.archive import ArchiveLimits, open_archive
from services.catalog.domain.sources.base import Source
from services.catalog.domain.sources.image_archive import ImageArchiveSource, is_image
from services.catalog.domain.sources.text_archive import TextArchiveSource


@contextmanager
def open_class_folders(
    path: Path, file_format: DataFormat | None, limits: ArchiveLimits
) -> Iterator[Source]:
    """Opens an archive with a folder a class.

    Args:
        path: A zip or tar archive.
        file_format: Images or texts; None to go by whether there is an image in it.
        limits: How large it may be.

    Raises:
        InvalidFieldError: It is no such archive, or cannot be imported.
    """
    with open_archive(path, limits) as archive:
        texts = file_format is DataFormat.TEXT_ARCHIVE
        if file_format is None:
            texts = not any(is_image(file) for file in archive.files)
        yield TextArchiveSource(archive) if texts else ImageArchiveSource(archive)

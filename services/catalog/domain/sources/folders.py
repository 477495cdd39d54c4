"""Archives with a folder a class: which files count, and what their labels are."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.archive import Archive, ArchiveFile

LABEL_COLUMN = "label"

_JUNK_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")
_JUNK_PREFIX = "._"
_JUNK_FOLDER = "__MACOSX"
_NESTED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar")


@dataclass(frozen=True, slots=True)
class Sample:
    """A file with its class.

    Attributes:
        file: The file.
        label: Name of the folder it lies in.
    """

    file: ArchiveFile
    label: str


def samples(archive: Archive, max_bytes: int) -> list[Sample]:
    """Returns the files of an archive by their names, without what desktops leave behind.

    Args:
        archive: The archive.
        max_bytes: Size of the largest file that is taken.

    Raises:
        InvalidFieldError: A file lies in no folder, is an archive itself or is too large.
    """
    found = []
    for file in archive.files:
        path = PurePosixPath(file.filename)
        if is_junk(path):
            continue
        if path.suffix.lower() in _NESTED:
            raise bad_file(
                f"`{path}` is an archive within the archive; unpack it first", "BAD_ARCHIVE"
            )
        if not path.parent.name:
            raise bad_file(f"`{path}` lies in no folder; put files into a folder a class")
        if file.file_size > max_bytes:
            raise bad_file(
                f"`{path}` is {file.file_size} bytes; at most {max_bytes} can be imported",
                "ARCHIVE_TOO_LARGE",
            )
        found.append(Sample(file, path.parent.name))
    return sorted(found, key=lambda sample: sample.file.filename)


def is_junk(path: PurePosixPath) -> bool:
    """Whether a file is what macOS or Windows put beside the real ones."""
    if path.name in _JUNK_NAMES or path.name.startswith(_JUNK_PREFIX):
        return True
    return _JUNK_FOLDER in path.parts

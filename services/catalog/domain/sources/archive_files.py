"""Archives of strangers: looked through before anything is unpacked, watched while it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

from services.catalog.domain.fields import bad_file

CHUNK_BYTES = 1 << 20
# What grows to this size and shrinks this well is taken for a bomb.
BOMB_BYTES = 256 * 1024**2
BOMB_RATIO = 200


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


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file in an archive.

    Attributes:
        filename: Its path within the archive.
        file_size: Its size in bytes, as the archive says.
        position: Where the archive finds it.
    """

    filename: str
    file_size: int
    position: int


# Yields the bytes of a file, and errors of its own where they are damaged.
Reading = Callable[[ArchiveFile], Iterator[bytes]]


class Archive:
    """An archive that was found harmless by what it declares.

    What it declares is checked again while it is read: a file never gives more bytes than that.

    Attributes:
        files: Its files, without folders.
    """

    def __init__(self, files: Sequence[ArchiveFile], reading: Reading) -> None:
        """Wraps an archive that has been looked through.

        Args:
            files: Its files.
            reading: Reads one of them; raises `InvalidFieldError` where it is damaged.
        """
        self.files = files
        self._reading = reading

    def chunks(self, file: ArchiveFile) -> Iterator[bytes]:
        """Yields the content of a file in chunks.

        Raises:
            InvalidFieldError: The file is damaged or larger than the archive says.
        """
        left = file.file_size
        for chunk in self._reading(file):
            left -= len(chunk)
            if left < 0:
                refuse(f"`{file.filename}` is larger than the archive says; make the archive again")
            yield chunk
        if left:
            refuse(f"`{file.filename}` is smaller than the archive says; make the archive again")

    def read(self, file: ArchiveFile) -> bytes:
        """Returns the content of a file. Raises `InvalidFieldError` as `chunks` does."""
        return b"".join(self.chunks(file))


class Survey:
    """Checks entry after entry of an archive, whatever its kind."""

    def __init__(self, limits: ArchiveLimits) -> None:
        """Begins with no entries."""
        self._limits = limits
        self._names: set[str] = set()
        self._entries = 0
        self._total = 0

    def count(self) -> None:
        """Counts an entry. Raises `InvalidFieldError` where there are too many."""
        self._entries += 1
        if self._entries > self._limits.max_files:
            refuse(
                f"the archive has more than {self._limits.max_files} entries, the most that can be "
                "imported; split it into several uploads"
            )

    def check_path(self, name: str, raw_name: str = "") -> str:
        """Returns the path of an entry without `./` before it.

        Args:
            name: The path.
            raw_name: The path as the archive has it, where that may be another.

        Raises:
            InvalidFieldError: It is no path within the archive, or was there before.
        """
        raw_name = raw_name or name
        parts = PurePosixPath(raw_name).parts
        if raw_name.startswith("/") or ".." in parts or "\\" in raw_name or raw_name[1:2] == ":":
            refuse(f"`{name}` has a path outside of the archive; use relative paths without `..`")
        if (
            not raw_name
            or "\0" in raw_name
            or raw_name.encode(errors="ignore").decode() != raw_name
        ):
            refuse(f"`{name!r}` is no valid file name; rename it")
        plain = str(PurePosixPath(name))
        if plain in self._names:
            refuse(f"`{plain}` is in the archive twice; keep one of them")
        self._names.add(plain)
        return plain

    def check_size(self, name: str, size: int) -> None:
        """Raises `InvalidFieldError` where a file, or all so far, are too large."""
        self._total += size
        if size > self._limits.max_file_bytes:
            refuse(
                f"`{name}` unpacks to {size} bytes; at most {self._limits.max_file_bytes} can be "
                "imported; split it, or take it out of the archive",
                "ARCHIVE_TOO_LARGE",
            )
        if self._total > self._limits.max_total_bytes:
            refuse(
                f"the archive unpacks to more than {self._limits.max_total_bytes} bytes, the most "
                "that can be imported; split it into several uploads",
                "ARCHIVE_TOO_LARGE",
            )


def refuse(description: str, reason: str = "BAD_ARCHIVE") -> NoReturn:
    """Raises the `InvalidFieldError` for an archive that cannot be imported."""
    raise bad_file(description, reason)

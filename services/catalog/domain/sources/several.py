"""Several files of one format as a single source, in their order."""

import codecs
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from services.catalog.domain.fields import bad_file
from services.catalog.domain.formats import LOOKS, DataFormat
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.base import Found, RawColumn, Source
from services.catalog.domain.sources.opening import open_source
from services.catalog.domain.sources.unpack import unpacked
from services.catalog.domain.spec import ImportSpec

_CHUNK_BYTES = 1 << 20


@contextmanager
def open_files(
    files: Sequence[tuple[Path, str]],
    file_format: DataFormat | None,
    scratch: Path,
    spec: ImportSpec,
    limits: ArchiveLimits,
) -> Iterator[Source]:
    """Opens files for import. Files of lines are joined first, others read one after the other.

    Args:
        files: Each file with its name for people.
        file_format: What they are. See `open_source`.
        scratch: Directory for intermediate files.
        spec: How they are to be read.
        limits: How large an archive or a compressed file may be.

    Raises:
        InvalidFieldError: Names the file that cannot be imported, or does not fit the first.
    """
    looks = LOOKS.get(file_format) if file_format else None
    if len(files) > 1 and looks and looks.is_of_lines:
        headed = file_format is DataFormat.CSV and spec.csv.header is not False
        files = [(_joined(files, scratch, limits, headed), files[0][1])]
    with ExitStack() as stack:
        sources = []
        for number, (path, name) in enumerate(files):
            folder = scratch / f"file-{number}"
            folder.mkdir()
            source = stack.enter_context(open_source(path, file_format, folder, spec, limits))
            sources.append((source, name))
        yield sources[0][0] if len(sources) == 1 else _Chain(sources)


class _Chain:
    """Sources with the same columns, one after the other."""

    def __init__(self, sources: Sequence[tuple[Source, str]]) -> None:
        self._sources = sources
        first, first_name = sources[0]
        for source, name in sources[1:]:
            if list(source.columns) != list(first.columns):
                raise bad_file(
                    f"`{name}` has other columns, or other types of them, than `{first_name}`; "
                    "files under one prefix must have the same",
                    "RAGGED_FILE",
                )

    @property
    def columns(self) -> Sequence[RawColumn]:
        """See `Source`."""
        return self._sources[0][0].columns

    @property
    def found(self) -> Found:
        """See `Source`."""
        return self._sources[0][0].found

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        for source, _ in self._sources:
            yield from source.batches(names)


def _joined(
    files: Sequence[tuple[Path, str]], scratch: Path, limits: ArchiveLimits, headed: bool
) -> Path:
    """Writes the lines of all files into one; a first line that all share is kept once."""
    target = scratch / "joined"
    header = b""
    with target.open("wb") as joined:
        for number, (path, name) in enumerate(files):
            folder = scratch / f"joining-{number}"
            folder.mkdir()
            plain = unpacked(path, folder, limits.max_file_bytes)
            with plain.open("rb") as file:
                first = file.readline().removeprefix(codecs.BOM_UTF8)
                header = header or first
                if headed and first.rstrip() != header.rstrip():
                    raise bad_file(
                        f"the first line of `{name}` is not that of `{files[0][1]}`; begin all "
                        "files with the same names of columns, or set csv.header to false",
                        "RAGGED_FILE",
                    )
                last = b"\n"
                if number == 0 or not headed:
                    joined.write(first)
                    last = first[-1:]
                while chunk := file.read(_CHUNK_BYTES):
                    joined.write(chunk)
                    last = chunk[-1:]
            if last != b"\n":
                joined.write(b"\r\n" if header.endswith(b"\r\n") else b"\n")
            if plain != path:
                plain.unlink()
    return target

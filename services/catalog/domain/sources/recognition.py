"""Files that are of another kind than they are called, known by their first bytes."""

from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from services.catalog.domain.fields import bad_file
from services.catalog.domain.formats import LOOKS, DataFormat
from services.catalog.domain.sources.unpack import compression_of

_START_BYTES = 512
_TAR_AT = 257
_EXCEL = ("an Excel workbook", "save its sheet as CSV")
_ARCHIVE = "give no format, and a file name that ends so, for images and texts in class folders"
# What a file begins with, what it is then, and what to do about it.
_KINDS = {
    b"PAR1": ("a Parquet file", "give the format parquet"),
    b"ARROW1": ("an Arrow file", "give the format arrow"),
    b"PK\x03\x04": ("a zip archive", _ARCHIVE),
    b"\x93NUMPY": ("a single NumPy array", "write it with np.savez, and give the format npz"),
    b"\xd0\xcf\x11\xe0": _EXCEL,
    b"SQLite format 3\0": ("an SQLite database", "write its table as CSV or Parquet"),
    b"%PDF-": ("a PDF document", "write its table as CSV"),
    b"\x89PNG": ("an image", "put images into class folders of a zip or tar archive"),
    b"\xff\xd8\xff": ("an image", "put images into class folders of a zip or tar archive"),
    b"BZh": ("a file compressed with bzip2", "compress it with gzip or zstd"),
    b"\xfd7zXZ": ("a file compressed with xz", "compress it with gzip or zstd"),
}
# Column names may begin so, too; texts have no zero bytes.
_WORDS = (b"PAR1", b"ARROW1")


def check_kind(path: Path, file_format: DataFormat) -> None:
    """Checks that a file is not of a kind that is known to be another.

    Args:
        path: The file; texts may be compressed with gzip or zstd.
        file_format: What it is said to be.

    Raises:
        InvalidFieldError: It says what the file is, and what to do.
    """
    looks = LOOKS.get(file_format)
    if looks is None:
        return  # archives of class folders have a check of their own
    start = _start(path, may_be_compressed=looks.is_text)
    if looks.start and start.startswith(looks.start):
        return
    found = _kind_of(start)
    if found is None and file_format is DataFormat.CSV and start.lstrip().startswith(b'{"'):
        found = ("a file of JSON objects", "give the format json_lines")
    if found is not None:
        what, cure = found
        raise bad_file(f"the file is {what}, not {file_format}; {cure}", "WRONG_FORMAT")


def _kind_of(start: bytes) -> tuple[str, str] | None:
    if start.startswith(_WORDS) and b"\0" not in start:
        return None
    if start[_TAR_AT:].startswith(b"ustar"):
        return "a tar archive", _ARCHIVE
    if start.startswith(b"PK") and b"[Content_Types].xml" in start:
        return _EXCEL
    return next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)


def _start(path: Path, *, may_be_compressed: bool) -> bytes:
    compression = compression_of(path) if may_be_compressed else None
    # What is damaged is told by whoever reads all of it.
    with suppress(OSError, pa.ArrowException), pa.input_stream(str(path), compression) as stream:
        return bytes(stream.read(_START_BYTES))
    return b""

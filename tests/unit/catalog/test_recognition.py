"""Files called by a wrong ending: told what they are, instead of what they are not."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from tests.unit.catalog.support import field_of, import_bytes, npz_of, picture, zip_of
from tests.unit.catalog.test_tar import tar_of

CSV, JSON_LINES, ARFF, LIBSVM, PARQUET, ARROW, NPZ = (
    DataFormat.CSV,
    DataFormat.JSON_LINES,
    DataFormat.ARFF,
    DataFormat.LIBSVM,
    DataFormat.PARQUET,
    DataFormat.ARROW,
    DataFormat.NPZ,
)
# A file of that kind may be what it is called.
OWN = {PARQUET: b"PAR1", NPZ: b"PK"}
FILES = {"a/1.txt": b"x", "b/2.txt": b"y"}


def parquet() -> bytes:
    """Returns a small Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), buffer)
    return buffer.getvalue()


KNOWN = {
    "parquet": (parquet(), "a Parquet file"),
    "zip": (zip_of(FILES), "a zip archive"),
    "tar": (tar_of(FILES), "a tar archive"),
    "xlsx": (zip_of({"[Content_Types].xml": b"<x/>"}), "an Excel workbook"),
    "png": (picture(), "an image"),
    "jpeg": (picture(kind="JPEG"), "an image"),
    "pdf": (b"%PDF-1.4\n%", "a PDF document"),
}


@pytest.mark.parametrize(
    ("content", "words", "file_format"),
    [
        pytest.param(content, words, file_format, id=f"{name}-{file_format}")
        for name, (content, words) in KNOWN.items()
        for file_format in (CSV, JSON_LINES, ARFF, LIBSVM, PARQUET, ARROW, NPZ)
        if not content.startswith(OWN.get(file_format, b"none"))
    ],
)
def test_wrong_endings(content: bytes, words: str, file_format: DataFormat) -> None:
    """A file of a known kind is called by it, and the cure stands beside."""
    with pytest.raises(InvalidFieldError) as caught:
        import_bytes(content, file_format)
    assert f"the file is {words}, not {file_format}; " in caught.value.message
    assert (field_of(caught.value), caught.value.reason) == (
        "dataset_import.spec.upload",
        "WRONG_FORMAT",
    )


def test_compressed_in_disguise() -> None:
    """What is within the compression counts; JSON is no CSV of one column."""
    with pytest.raises(InvalidFieldError, match="is a tar archive, not csv"):
        import_bytes(gzip.compress(tar_of(FILES)), CSV)
    with pytest.raises(InvalidFieldError, match="JSON objects, not csv; give the format json"):
        import_bytes(b'{"a": 1}\n{"a": 2}\n', CSV)


def test_right_endings() -> None:
    """Files that are what they are called are read."""
    assert import_bytes(npz_of(x=pa.array([1, 2]).to_numpy()), NPZ).schema.columns
    for names in (b"PK,BM", b"PAR1,PAR2", b"ARROW1,ARROW2"):
        assert import_bytes(gzip.compress(names + b"\n1,2\n"), CSV).schema.columns

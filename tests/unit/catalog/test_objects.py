"""Imports of objects of the store: what may be read, and several files as one."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from common.artifacts.memory import MemoryStore
from common.errors import AimassError, InvalidFieldError
from services.catalog.domain import objects
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.objects import ImportObjects, shared_format
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.several import open_files
from services.catalog.domain.spec import CsvOptions, ImportSpec
from tests.unit.catalog.support import npz_of

SPEC = ImportSpec(dataset="datasets/d", uri="s3://x/y")


def found(uri: str, *keys: str, store: MemoryStore | None = None) -> list[str]:
    """Returns the keys that a URI of the suite's bucket or of `open` finds."""
    own = store or MemoryStore()
    other = MemoryStore()
    for key in keys:
        own.write(key, b"x")
        other.write(key, b"y")
    others = {"open": other}
    finder = ImportObjects(own, ["open"], others.__getitem__)
    return [info.key for info in finder.find(uri.replace("OWN", own.bucket)).objects]


def test_object_and_prefix() -> None:
    """A key names one object; a prefix all under it by their keys, without marks and leftovers."""
    keys = (
        "imports/b.csv",
        "imports/a.csv",
        "imports/sub/c.csv",
        "imports/_SUCCESS",
        "other/d.csv",
    )
    assert found("s3://OWN/imports/b.csv", *keys) == ["imports/b.csv"]
    everything = ["imports/a.csv", "imports/b.csv", "imports/sub/c.csv"]
    assert found("s3://OWN/imports/", *keys) == everything
    assert found("s3://open/", *keys) == [*everything, "other/d.csv"]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("imports/a.csv", "INVALID_URI"),
        ("s3://", "INVALID_URI"),
        ("s3:///imports/a.csv", "INVALID_URI"),
        ("s3://OWN/records/models/a.json", "INVALID_URI"),
        ("s3://OWN/", "INVALID_URI"),
        ("s3://OWN/imports/../records/a", "INVALID_URI"),
        ("s3://closed/imports/a.csv", "INVALID_URI"),
        ("s3://OWN/imports/none.csv", "NOT_FOUND"),
        ("s3://OWN/imports/none/", "NOT_FOUND"),
    ],
)
def test_what_may_not_be_read(uri: str, reason: str) -> None:
    """Other buckets, the suite's own records and what is not there are refused."""
    with pytest.raises(AimassError) as caught:
        found(uri, "imports/a.csv", "records/models/a.json")
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "dataset_import.spec.uri"


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of files is bounded."""
    monkeypatch.setattr(objects, "MAX_OBJECTS", 1)
    with pytest.raises(InvalidFieldError, match="more than 1 objects"):
        found("s3://OWN/imports/", "imports/a.csv", "imports/b.csv")


def test_formats_must_agree() -> None:
    """Files of two formats under a prefix are refused by name."""
    store = MemoryStore()
    store.write("imports/a.csv", b"x")
    store.write("imports/b.npz", b"x")
    uri = f"s3://{store.bucket}/imports/"
    with pytest.raises(InvalidFieldError, match=r"`imports/b\.npz` has another format"):
        shared_format(SPEC, ImportObjects(store, [], lambda name: store).find(uri))


def rows_of(
    folder: Path, contents: Sequence[bytes], file_format: DataFormat, spec: ImportSpec = SPEC
) -> dict[str, list[object]]:
    """Opens files as one and reads them twice."""
    files = []
    for number, content in enumerate(contents):
        path = folder / f"object-{number}"
        path.write_bytes(content)
        files.append((path, f"imports/{number}"))
    with open_files(files, file_format, folder, spec, ArchiveLimits()) as source:
        names = [column.name for column in source.columns]
        first, second = (pa.Table.from_batches(source.batches(names)) for _ in range(2))
        assert first.num_rows == second.num_rows
        return {name: second.column(name).to_pylist() for name in names}


def test_csv_files(tmp_path: Path) -> None:
    """CSV files are read as one, the header once; compressed or not, with or without a last end."""
    contents = [b"x,y\n1,a\n2,b", gzip.compress(b"x,y\n3,c\n"), b"\xef\xbb\xbfx,y\n4,d\n"]
    got = rows_of(tmp_path, contents, DataFormat.CSV)
    assert [float(str(value)) for value in got["x"]] == [1, 2, 3, 4]
    assert got["y"] == ["a", "b", "c", "d"]


def test_csv_files_without_header(tmp_path: Path) -> None:
    """Without headers every line is a row."""
    spec = SPEC.model_copy(update={"csv": CsvOptions(header=False)})
    got = rows_of(tmp_path, [b"1,2\n", b"3,4\n5,6"], DataFormat.CSV, spec)
    assert [len(values) for values in got.values()] == [3, 3]


def test_arrays(tmp_path: Path) -> None:
    """Other files are read one after the other."""
    contents = [npz_of(a=np.arange(3)), npz_of(a=np.arange(3, 5))]
    assert rows_of(tmp_path, contents, DataFormat.NPZ) == {"a": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("contents", "file_format", "words"),
    [
        ([b"x,y\n1,2\n", b"x,z\n1,2\n"], DataFormat.CSV, "first line of `imports/1`"),
        ([npz_of(a=np.arange(3)), npz_of(b=np.arange(3))], DataFormat.NPZ, "`imports/1` has other"),
        ([npz_of(a=np.arange(3)), npz_of(a=np.array(["x"]))], DataFormat.NPZ, "other types"),
    ],
)
def test_files_that_do_not_fit(
    contents: list[bytes], file_format: DataFormat, words: str, tmp_path: Path
) -> None:
    """A file with other columns than the first is refused by name."""
    with pytest.raises(InvalidFieldError, match=words):
        rows_of(tmp_path, contents, file_format)

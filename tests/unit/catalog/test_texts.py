"""Archives of text files in class folders."""

from collections.abc import Callable

import pytest

from common.data.schema import ColumnType, Task
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.sources import base
from services.catalog.domain.spec import ImportSpec, resolve_format
from tests.unit.catalog.support import Imported, field_of, import_bytes, picture, zip_of
from tests.unit.catalog.test_tar import compressed, tar_of

Pack = Callable[[dict[str, bytes]], bytes]

TEXTS = {f"{'ab'[row % 2]}/{row}.txt": f"Text {row}, größer.\n".encode() for row in range(20)}


def import_texts(content: bytes, file_format: DataFormat | None = None) -> Imported:
    """Imports an archive of texts."""
    return import_bytes(content, file_format)


@pytest.mark.parametrize(
    "content", [zip_of(TEXTS), tar_of(TEXTS), compressed(tar_of(TEXTS), "gzip")]
)
def test_texts(content: bytes) -> None:
    """Texts arrive in the order of their paths, labelled by their folders, whatever packs them."""
    got = import_texts(content)
    order = sorted(TEXTS)
    expected = [TEXTS[name].decode().strip() for name in order]
    assert got.columns["text"].tolist() == expected
    assert got.labels("label") == [name[0] for name in order]
    assert got.schema.column("text").type is ColumnType.TEXT
    assert (got.schema.task, got.schema.target) == (Task.CLASSIFICATION, "label")


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large texts go into small batches, and none is left out."""
    monkeypatch.setattr(base, "_BATCH_BYTES", 3000)
    files = {f"{'ab'[row % 2]}/{row:02d}": str(row).encode() * 500 for row in range(25)}
    got = import_texts(zip_of(files))
    assert sorted(got.columns["text"]) == sorted(content.decode() for content in files.values())


def test_what_desktops_leave_is_left_out() -> None:
    """Files that macOS and Windows put beside the real ones do not count."""
    junk = {"__MACOSX/a/._1.txt": b"\xff", "a/._2.txt": b"\xff", "a/.DS_Store": b"\xff"}
    assert len(import_texts(zip_of({**TEXTS, **junk})).parts) == len(TEXTS)


def test_images_by_what_is_in_the_archive() -> None:
    """An archive with an image in it is one of images, also as tar."""
    files = {f"{'ab'[row % 2]}/{row}.png": picture() for row in range(6)}
    got = import_texts(compressed(tar_of(files), "zstd"))
    assert got.schema.column("image").shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/1.txt": b"\xff\xfe\xfd"}, "`a/1.txt` is no UTF-8 text"),
        ({"a/1.txt": b"PK\0\0"}, "has zero bytes"),
        ({"1.txt": b"x"}, "lies in no folder"),
        ({"a/1.zip": b"x"}, "an archive within the archive; unpack it"),
        ({"a/x.tar.gz": b"x"}, "an archive within the archive"),
        ({"a/hidden.txt": zip_of({"a/x.txt": b"x"})}, "`a/hidden.txt` is no"),
        ({"a/1.gif": b"GIF89a"}, "`a/1.gif` is no PNG, JPEG or BMP image"),
        ({"a/1.png": picture(), "a/2.txt": b"x"}, "`a/2.txt` is no PNG"),
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_bad_files(files: dict[str, bytes], words: str, pack: Pack) -> None:
    """A file that does not belong is refused by name, with the cure, whatever packs it."""
    with pytest.raises(InvalidFieldError) as caught:
        import_texts(pack({**files, "b/9.txt": b"x"}))
    assert field_of(caught.value) == "dataset_import.spec.upload"
    assert words in caught.value.message
    assert ";" in caught.value.message  # after which the cure stands


def test_folders_alone() -> None:
    """An archive of empty folders holds nothing to learn from."""
    with pytest.raises(InvalidFieldError, match="holds no files; put text files into a folder"):
        import_texts(zip_of({"a/": b""}))


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "A.TAR.GZ", "a.tgz", "a.tar.bz2", "a.tbz2", "a.tar.zst"]
)
def test_names_of_archives(name: str) -> None:
    """The name says that it is an archive; what is in it decides on the rest."""
    spec = ImportSpec(dataset="datasets/d", upload="uploads/u")
    assert resolve_format(spec, name) is None

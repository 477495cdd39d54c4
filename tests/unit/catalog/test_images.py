"""Zip archives of images."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from common.data.schema import ColumnType, Part, Task
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.spec import SplitSpec
from tests.unit.catalog.support import Imported, field_of, import_bytes, picture, zip_of
from tests.unit.catalog.test_tar import tar_of

Pack = Callable[[dict[str, bytes]], bytes]


def import_images(files: Mapping[str, bytes], split: SplitSpec | None = None) -> Imported:
    """Imports an archive of images."""
    return import_bytes(zip_of(files), DataFormat.IMAGE_ZIP, split=split)


def two_classes(*images: bytes) -> dict[str, bytes]:
    """Puts images by turns into two class folders."""
    return {f"{'ab'[i % 2]}/{i}.png": image for i, image in enumerate(images)}


def test_digits() -> None:
    """scikit-learn's digits arrive pixel for pixel, labelled by folder, split within each class."""
    digits = load_digits()
    scaled = (digits.images * 16).clip(0, 255).astype(np.uint8)
    files = {
        f"{label}/{number:04d}.png": picture(image)
        for number, (image, label) in enumerate(zip(scaled, digits.target, strict=True))
    }
    got = import_images(files)
    order = sorted(range(len(scaled)), key=lambda i: f"{digits.target[i]}/{i:04d}.png")
    assert np.array_equal(got.columns["image"][:, 0], scaled[order])
    assert got.labels("label") == [str(digits.target[i]) for i in order]
    assert (got.schema.task, got.schema.target) == (Task.CLASSIFICATION, "label")
    column = got.schema.column("image")
    assert (column.type, column.shape) == (ColumnType.IMAGE, (1, 8, 8))
    for label in range(10):
        of_class = got.columns["label"] == label
        validation = np.count_nonzero(got.parts[of_class] == Part.VALIDATION)
        assert abs(validation - 0.2 * np.count_nonzero(of_class)) < 1


def test_colour_and_formats() -> None:
    """PNG, JPEG and BMP give three channels as soon as one image has colour."""
    red = np.zeros((3, 4, 3), np.uint8)
    red[..., 0] = 255
    gray = np.full((3, 4), 100, np.uint8)
    files = {
        "a/1.png": picture(red),
        "b/2.bmp": picture(red, "BMP"),
        "a/3.JPG": picture(gray, "JPEG"),
        "b/4.png": picture(red, mode="RGBA"),
        "a/5.png": picture(red, mode="P"),
    }
    images = import_images(files).columns["image"]
    assert images.shape == (5, 3, 3, 4)
    # Rows are in the order of their names: a/1, a/3, a/5, b/2, b/4.
    for row in (0, 2, 3, 4):
        assert np.array_equal(images[row], red.transpose(2, 0, 1)), row
    assert np.all(images[1] == 100)


def test_gray_of_other_depths() -> None:
    """One bit and sixteen bits a pixel are brought to eight."""
    deep = np.array([[0, 65535], [256, 32768]], np.uint16)
    flat = np.array([[0, 255], [0, 255]], np.uint8)
    got = import_images(two_classes(picture(deep), picture(flat, mode="1"))).columns["image"]
    assert got[0, 0].tolist() == [[0, 255], [1, 128]]
    assert got[1, 0].tolist() == flat.tolist()


def test_nested_folders_and_litter() -> None:
    """The folder that holds an image names its class; what operating systems add is passed over."""
    files = {
        "pets/cat/1.png": picture(),
        "pets/dog/1.png": picture(),
        "__MACOSX/pets/cat/._1.png": b"junk",
        "pets/.DS_Store": b"junk",
    }
    assert import_images(files).labels("label") == ["cat", "dog"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no images"),
        ({"1.png": picture()}, "`1.png` lies in no folder"),
        ({"a/readme.txt": b"hello"}, "`a/readme.txt` is no PNG, JPEG or BMP"),
        ({"a/1.png": b"not an image"}, "`a/1.png` is no PNG, JPEG or BMP image, or is damaged"),
        (two_classes(picture(), picture()[:-30]), "`b/1.png` is damaged"),
        (
            two_classes(picture(), picture(np.zeros((5, 5), np.uint8))),
            "`b/1.png` is 5x5 pixels where `a/0.png` is 4x3",
        ),
        ({"a/1.png": picture(kind="GIF")}, "`a/1.png` is no PNG"),
    ],
)
def test_bad_archives(files: dict[str, bytes], words: str) -> None:
    """Whatever cannot be imported is refused by name."""
    with pytest.raises(InvalidFieldError) as caught:
        import_images(files)
    assert field_of(caught.value) == "dataset_import.spec.upload"
    assert words in caught.value.message


def test_one_class() -> None:
    """Images of a single class teach nothing."""
    with pytest.raises(InvalidFieldError, match="single class, `a`") as caught:
        import_images({"a/1.png": picture(), "a/2.png": picture()})
    assert field_of(caught.value) == "dataset_import.spec.target"


def test_decompression_bomb() -> None:
    """A small file that decodes to a huge image is refused by its header."""
    huge = Image.new("1", (20_000, 20_000))
    buffer = io.BytesIO()
    huge.save(buffer, "PNG")
    assert len(buffer.getvalue()) < 2**20
    with pytest.raises(InvalidFieldError, match=r"`a/1.png` says that it has") as caught:
        import_images({"a/1.png": buffer.getvalue(), "b/1.png": picture()})
    assert caught.value.reason == "BAD_IMAGE"


def png_that_says(width: int, height: int) -> bytes:
    """Returns a PNG whose header tells of another size than its pixels have."""
    content = bytearray(picture())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (png_that_says(60_000, 60_000), "`a/0.png` says that it has more than 16,777,216 pixels"),
        (png_that_says(5000, 5000), "`a/0.png` says that it has more than"),
        (png_that_says(40, 30), "`a/0.png` is damaged"),
        (png_that_says(0, 3), "`a/0.png` is"),
        (picture(kind="BMP")[:30], "`a/0.png` is"),
        (zip_of({"x": b"y"}), "is no PNG, JPEG or BMP image"),
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_false_sizes(image: bytes, words: str, pack: Pack) -> None:
    """An image that is not what its header or its name says is refused before it takes memory."""
    with pytest.raises(InvalidFieldError) as caught:
        import_bytes(pack(two_classes(image, *[image] * 3)), DataFormat.IMAGE_ZIP)
    assert words in caught.value.message
    assert "take it out of the archive" in caught.value.message

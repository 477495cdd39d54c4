"""Pictures: what is shown is what was given."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from common.reports.pictures import Pixels, png_of, size_of
from common.reports.rendering import render
from common.reports.report import Gallery, Picture, Report, Section
from tests.unit.reports.elements import Elements


def pixels(*shape: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_pixels_come_through_unchanged(shape: tuple[int, ...]) -> None:
    """Grey and colour; also of an array that is a view."""
    given = pixels(*shape)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_of(given)))), given)
    turned = given[::-1, ::-1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_of(turned)))), turned)
    assert size_of(png_of(given)) == (7, 5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_what_is_no_picture_is_refused(wrong: Pixels) -> None:
    """Numbers from 0 to 1, say, would be a black picture."""
    with pytest.raises(ValueError, match="no picture"):
        png_of(wrong)
    with pytest.raises(ValueError, match="must be a PNG file"):
        Picture(b"GIF89a", "caption", "seen")


def shown(part: Picture | Gallery) -> list[dict[str, str | None]]:
    """Returns the attributes of the page's images."""
    return Elements(render(Report("r", {}, [Section("s", [part])]))).given("img")


def test_small_pictures_are_enlarged_in_squares() -> None:
    """A digit of 28 pixels would be the size of a letter, and blurred if it was just larger."""
    picture = Picture.of(pixels(28, 28), "a digit", "a seven")
    (image,) = shown(picture)
    assert (image["width"], image["height"], image["class"]) == ("252", "252", "enlarged")
    assert image["alt"] == "a seven"
    assert base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) == picture.png
    first, second = shown(Gallery([picture, picture], "digits"))
    assert first == second
    assert first["width"] == "112"


def test_large_pictures_keep_their_size() -> None:
    """The page makes them fit where there is less room."""
    (image,) = shown(Picture.of(pixels(300, 400), "a photograph", "a cat"))
    assert (image["width"], image["height"]) == ("400", "300")
    assert "class" not in image

"""PNG files of pictures."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIZE = slice(16, 24)  # the first chunk is the header, which begins with width and height


def png_of(pixels: Pixels) -> bytes:
    """Returns a PNG file of pixels, 0 to 255, shape (height, width) or (height, width, 3).

    Raises:
        ValueError: The array is of another type or shape, or empty.
    """
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not fits or not pixels.size:
        raise ValueError(f"no picture: {pixels.dtype} of shape {pixels.shape}")
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return file.getvalue()


def size_of(png: bytes) -> tuple[int, int]:
    """Returns width and height of a PNG file, in pixels.

    Raises:
        ValueError: It is none.
    """
    size = png[_SIZE]
    if not png.startswith(_SIGNATURE) or len(size) != 8:
        raise ValueError("a picture must be a PNG file")
    return int.from_bytes(size[:4]), int.from_bytes(size[4:])

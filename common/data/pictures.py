"""Encoded images as the numbers that data sets hold."""

import numpy as np
import numpy.typing as npt
from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP")
"""What images may be encoded as."""


def to_bytes(image: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
    """Decodes an image.

    Args:
        image: The image.
        channels: 1 for gray, 3 for red, green and blue.

    Returns:
        Shape (height, width) of gray, else (height, width, 3).
    """
    if image.mode.startswith("I"):
        # 16-bit gray, which PIL would clip instead of scale.
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray((wide >> 8).astype(np.uint8))
    return np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)

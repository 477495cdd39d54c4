"""Images of rows as small pictures."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.data.rows import Values

Pixels = npt.NDArray[np.uint8]


def pixels_of(image: Values) -> Pixels:
    """Returns an image as pixels of a picture, 0 to 255.

    Args:
        image: Shape (channels, height, width). Of three channels or more the first three are red,
            green and blue; of fewer the first is grey.

    Returns:
        Shape (height, width, 3), or (height, width) of grey.
    """
    if len(image) < 3:
        return np.ascontiguousarray(image[0], np.uint8)
    return np.ascontiguousarray(image[:3].transpose(1, 2, 0), np.uint8)


def fitted(pixels: Pixels, side: int) -> Pixels:
    """Returns pixels whose longer side is at most so long; what is smaller stays as it is.

    Args:
        pixels: As `pixels_of` gives them. Of those that come together the mean is taken.
        side: In pixels.
    """
    height, width = pixels.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return pixels
    size = (max(1, round(share * width)), max(1, round(share * height)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))

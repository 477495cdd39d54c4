"""Pictures as cells of a data frame: the bytes of their pixels, channel by channel."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def cells_of(pictures: Pixels) -> list[bytes]:
    """Returns pictures as cells.

    Args:
        pictures: Shape (rows, channels, height, width).
    """
    return [each.tobytes() for each in pictures]


def pictures_of(cells: Iterable[object], shape: Sequence[int]) -> Pixels:
    """Returns the pictures of cells, (rows, channels, height, width).

    Args:
        cells: As `cells_of` gives them.
        shape: Channels, height, width.

    Raises:
        ValueError: A cell is no picture of that shape.
    """
    size = int(np.prod(shape))
    known = [each for each in cells if isinstance(each, bytes) and len(each) == size]
    count = sum(1 for _ in cells)
    if len(known) < count:
        sides = " x ".join(map(str, shape))
        raise ValueError(f"{count - len(known)} of {count} cells are no pictures of {sides} bytes.")
    return np.frombuffer(b"".join(known), np.uint8).reshape(-1, *shape)

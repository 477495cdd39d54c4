"""Archives of images in a folder per class."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from common.data.pictures import FORMATS, to_bytes
from common.errors import InvalidFieldError
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.archive import Archive, ArchiveFile
from services.catalog.domain.sources.base import Found, RawColumn, RawKind, batch_rows
from services.catalog.domain.sources.folders import LABEL_COLUMN, Sample, samples

Pixels = npt.NDArray[np.uint8]

IMAGE_COLUMN = "image"

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
_OTHER_ENDINGS = (".gif", ".tif", ".tiff", ".webp")
_GRAY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "F")
_MAX_PIXELS = 4096 * 4096
_MAX_FILE_BYTES = 64 * 1024**2
# What PIL is known to raise on damaged or hostile images.
_DAMAGES = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class ImageArchiveSource:
    """Images of one size in class folders, in the order of their names.

    Gray images give one channel, colour images three (transparency is dropped); where both occur,
    all give three.
    """

    found = Found(LABEL_COLUMN)

    def __init__(self, archive: Archive) -> None:
        """Looks at the header of every image.

        Args:
            archive: The archive; must stay open.

        Raises:
            InvalidFieldError: Names the file that cannot be imported, and why.
        """
        self._archive = archive
        self._pictures = _pictures(archive)
        if not self._pictures:
            raise bad_file(
                "the archive holds no images; put PNG, JPEG or BMP files into a folder a class",
                "EMPTY_FILE",
            )
        self._size, self._channels = self._survey()
        shape = (self._channels, self._size[1], self._size[0])
        self.columns = [
            RawColumn(IMAGE_COLUMN, RawKind.IMAGE, shape),
            RawColumn(LABEL_COLUMN, RawKind.STRING),
        ]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`. Images are decoded only where they are asked for."""
        step = batch_rows(len(names), self._image_bytes if IMAGE_COLUMN in names else 0)
        for start in range(0, len(self._pictures), step):
            pictures = self._pictures[start : start + step]
            arrays = [self._values(name, pictures) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))

    @property
    def _image_bytes(self) -> int:
        return self._size[0] * self._size[1] * self._channels

    def _values(self, name: str, pictures: Sequence[Sample]) -> pa.Array:
        if name == LABEL_COLUMN:
            return pa.array([picture.label for picture in pictures], pa.string())
        pixels = b"".join(self._pixels(picture.file).tobytes() for picture in pictures)
        storage = pa.binary(self._image_bytes)
        return pa.Array.from_buffers(storage, len(pictures), [None, pa.py_buffer(pixels)])

    def _survey(self) -> tuple[tuple[int, int], int]:
        """Returns the size of all images (width, height) and their channels."""
        first = self._pictures[0].file
        size: tuple[int, int] | None = None
        channels = 1
        for picture in self._pictures:
            image = self._open(picture.file)
            size = size or image.size
            if image.size != size:
                raise bad_file(
                    f"`{picture.file.filename}` is {_measures(image.size)} pixels where "
                    f"`{first.filename}` is {_measures(size)}; bring all images to one size",
                    "RAGGED_FILE",
                )
            if image.mode not in _GRAY_MODES:
                channels = 3
        assert size is not None
        return size, channels

    def _open(self, file: ArchiveFile) -> Image.Image:
        """Reads an image's header; its pixels are decoded later."""
        content = io.BytesIO(self._archive.read(file))
        try:
            image = Image.open(content, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise _too_large(file) from error
        except _DAMAGES as error:
            raise bad_file(
                f"`{file.filename}` is no PNG, JPEG or BMP image, or is damaged; replace it, or "
                "take it out of the archive",
                "BAD_IMAGE",
            ) from error
        if image.width * image.height > _MAX_PIXELS:
            raise _too_large(file)
        return image

    def _pixels(self, file: ArchiveFile) -> Pixels:
        """Decodes an image to (channels, height, width)."""
        image = self._open(file)
        try:
            pixels = to_bytes(image, self._channels)
        except _DAMAGES as error:
            raise bad_file(
                f"`{file.filename}` is damaged ({error}); replace it, or take it out of the "
                "archive",
                "BAD_IMAGE",
            ) from error
        height, width = self._size[1], self._size[0]
        return pixels.reshape(height, width, self._channels).transpose(2, 0, 1)


def _too_large(file: ArchiveFile) -> InvalidFieldError:
    return bad_file(
        f"`{file.filename}` says that it has more than {_MAX_PIXELS:,} pixels, the most that can "
        "be imported; make it smaller, or take it out of the archive",
        "BAD_IMAGE",
    )


def is_image(file: ArchiveFile) -> bool:
    """Whether a file is called like an image, of a kind that can be imported or not."""
    return _ending(file) in (*_ENDINGS, *_OTHER_ENDINGS)


def _ending(file: ArchiveFile) -> str:
    return PurePosixPath(file.filename).suffix.lower()


def _pictures(archive: Archive) -> list[Sample]:
    pictures = samples(archive, _MAX_FILE_BYTES)
    for picture in pictures:
        if _ending(picture.file) not in _ENDINGS:
            raise bad_file(
                f"`{picture.file.filename}` is no PNG, JPEG or BMP image; take it out of "
                "the archive"
            )
    return pictures


def _measures(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

"""NumPy archives. Nothing in them is ever unpickled."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.archive import Archive, ArchiveFile
from services.catalog.domain.sources.base import (
    MAX_COLUMNS,
    Found,
    RawColumn,
    RawKind,
    batch_rows,
)

Array = npt.NDArray[np.generic]

_HEADER_BYTES = 64 * 1024
_CHANNELS = (1, 3)
_KINDS = {
    "b": RawKind.BOOLEAN,
    "i": RawKind.NUMBER,
    "u": RawKind.NUMBER,
    "f": RawKind.NUMBER,
    "U": RawKind.STRING,
    "S": RawKind.STRING,
    "M": RawKind.TIMESTAMP,
}


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    data_offset: int


@dataclass(frozen=True)
class _Part:
    """A column's place within its array."""

    array: Array
    convert: Callable[[Array], pa.Array]
    index: int | None = None

    @property
    def row_bytes(self) -> int:
        values = 1 if self.index is not None else math.prod(self.array.shape[1:])
        return values * self.array.itemsize

    def read(self, start: int, stop: int) -> pa.Array:
        rows = self.array[start:stop]
        return self.convert(rows if self.index is None else rows[:, self.index])


class NpzSource:
    """Arrays of one length, unpacked to files and mapped into memory."""

    found = Found()

    def __init__(self, archive: Archive, scratch: Path) -> None:
        """Checks and unpacks the arrays.

        Args:
            archive: The archive.
            scratch: Directory for the unpacked arrays.

        Raises:
            InvalidFieldError: Names the array that cannot be imported, and why.
        """
        self.columns: list[RawColumn] = []
        self._parts: dict[str, _Part] = {}
        self._rows = -1
        if not archive.files:
            raise bad_file("the archive holds no arrays; write it with np.savez", "EMPTY_FILE")
        for number, info in enumerate(archive.files):
            name = _array_name(info)
            array = _unpack(archive, info, name, scratch / f"array-{number}.npy")
            self._check_rows(name, array)
            self._add(name, array)
        if self._rows == 0:
            raise bad_file("the arrays have no rows", "EMPTY_FILE")

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`. NaN and NaT are missing."""
        step = batch_rows(len(names), sum(self._parts[name].row_bytes for name in names))
        for start in range(0, self._rows, step):
            stop = min(start + step, self._rows)
            arrays = [self._parts[name].read(start, stop) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))

    def _check_rows(self, name: str, array: Array) -> None:
        if array.ndim == 0:
            raise bad_file(f"array `{name}` is a single value; give one value a row")
        if self._rows not in (-1, len(array)):
            raise bad_file(
                f"array `{name}` has {len(array)} rows where the first array has {self._rows}; all "
                "arrays must have the same length",
                "RAGGED_FILE",
            )
        self._rows = len(array)

    def _add(self, name: str, array: Array) -> None:
        if array.ndim == 1:
            self._add_column(RawColumn(name, _KINDS[array.dtype.kind]), array)
        elif array.ndim == 2:
            for index in range(array.shape[1]):
                column = RawColumn(f"{name}_{index}", _KINDS[array.dtype.kind])
                self._add_column(column, array, index)
        else:
            images = _as_images(name, array)
            shape = tuple(images.shape[1:])
            column = RawColumn(name, RawKind.IMAGE, shape)
            self._parts[name] = _Part(images, _image_values)
            self._append(column)

    def _add_column(self, column: RawColumn, array: Array, index: int | None = None) -> None:
        if column.name in self._parts:
            raise bad_file(f"two arrays give a column `{column.name}`; rename one of them")
        self._parts[column.name] = _Part(array, _converter(array.dtype), index)
        self._append(column)

    def _append(self, column: RawColumn) -> None:
        self.columns.append(column)
        if len(self.columns) > MAX_COLUMNS:
            raise bad_file(f"the arrays have more than {MAX_COLUMNS} columns, the most allowed")


def _array_name(info: ArchiveFile) -> str:
    if not info.filename.endswith(".npy") or "/" in info.filename:
        raise bad_file(f"`{info.filename}` is no array of a NumPy archive; write it with np.savez")
    return info.filename.removesuffix(".npy")


def _unpack(archive: Archive, info: ArchiveFile, name: str, path: Path) -> Array:
    """Checks what an array says of itself, unpacks it and maps it.

    The header is checked before the data is unpacked: what it declares must fill the file exactly.
    """
    chunks = archive.chunks(info)
    first = next(chunks, b"")
    path.write_bytes(first[:_HEADER_BYTES])
    with path.open("rb") as file:
        header = _read_header(file, name)
    _check_type(header.dtype, name)
    size = header.data_offset + math.prod(header.shape) * header.dtype.itemsize
    if min(header.shape, default=0) < 0 or size != info.file_size:
        raise bad_file(f"array `{name}` is cut off or damaged; save it again")
    with path.open("wb") as file:
        file.write(first)
        for chunk in chunks:
            file.write(chunk)
    if math.prod(header.shape) == 0:
        return np.empty(header.shape, header.dtype)
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _read_header(file: BinaryIO, name: str) -> _Header:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
            # Version 3 is version 2 with names of fields in UTF-8; those types are refused anyway.
            (3, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise bad_file(
            f"array `{name}` is not in NumPy's format; write it with np.savez"
        ) from error
    return _Header(dtype, shape, file.tell())


def _check_type(dtype: np.dtype[np.generic], name: str) -> None:
    if dtype.hasobject:
        raise bad_file(
            f"array `{name}` holds Python objects, which would have to be unpickled; save it as "
            "numbers or as strings, for example with `astype(str)`",
            "OBJECT_ARRAY",
        )
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise bad_file(
            f"array `{name}` has the type {dtype}, which cannot be imported; use numbers, "
            "booleans, strings or dates"
        )


def _as_images(name: str, array: Array) -> Array:
    """Returns images as (rows, channels, height, width)."""
    if array.dtype != np.uint8 or array.ndim > 4 or 0 in array.shape[1:]:
        raise bad_file(
            f"array `{name}` of shape {array.shape} and type {array.dtype} is neither a table nor "
            "images; images are unsigned bytes of shape (rows, height, width) or (rows, channels, "
            "height, width); give other data two dimensions"
        )
    if array.ndim == 3:
        return array[:, np.newaxis]
    first, last = array.shape[1], array.shape[3]
    channels_last = first not in _CHANNELS and (last in _CHANNELS or last < first)
    return array.transpose(0, 3, 1, 2) if channels_last else array


def _converter(dtype: np.dtype[np.generic]) -> Callable[[Array], pa.Array]:
    if dtype.kind == "f":
        return _float_values
    if dtype.kind == "S":
        return _byte_string_values
    if dtype.kind == "M":
        return lambda values: pa.array(values.astype("datetime64[us]"))
    if dtype.kind == "U":
        return lambda values: pa.array(values.tolist(), pa.string())
    return lambda values: pa.array(_native(values))


def _float_values(values: Array) -> pa.Array:
    # Half floats have no arithmetic in Arrow; extended ones no type.
    wide = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64)
    return pa.array(wide, mask=np.isnan(wide))


def _byte_string_values(values: Array) -> pa.Array:
    try:
        return pa.array([value.decode() for value in values.tolist()], pa.string())
    except UnicodeDecodeError:
        raise bad_file("a string is not UTF-8 text; save strings as `astype(str)`") from None


def _image_values(values: Array) -> pa.Array:
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    storage = pa.binary(rows.shape[1])
    return pa.Array.from_buffers(storage, len(rows), [None, pa.py_buffer(rows)])


def _native(values: Array) -> Array:
    """Returns contiguous values in this machine's byte order."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))

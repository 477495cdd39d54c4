"""Tensors that are read piece by piece, wherever they are."""

import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.layers import NETWORK
from services.analyzer.domain.weights.findings import MATRICES, WeightKind

Numbers = npt.NDArray[Any]
"""Floats."""

_BLOCK = 1 << 21  # numbers that are looked at together
_HELD = 1 << 26  # numbers of the largest tensor that is kept in memory while it is looked at
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LARGEST_HEADER = 100_000_000
# What parts of a layer are called by torch and by the networks of `common.networks`.
_TABLES = ("embedding", "embeddings", "categories")
_ROLES = {
    "bias": WeightKind.BIAS,
    "running_mean": WeightKind.STATISTIC,
    "running_var": WeightKind.STATISTIC,
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor, read when it is needed.

    Attributes:
        name: Its name.
        layer: Name of its layer.
        kind: What it is.
        shape: Its shape.
        rows: Rows of the matrix that it is taken as: its units.
        columns: Columns of that matrix: the incoming weights of a unit.
        read: Returns the rows from one to before another, floats (rows, columns).
    """

    name: str
    layer: str
    kind: WeightKind
    shape: tuple[int, ...]
    rows: int
    columns: int
    read: Callable[[int, int], Numbers]

    @property
    def count(self) -> int:
        """Numbers in it."""
        return self.rows * self.columns

    @property
    def is_matrix(self) -> bool:
        """Whether it maps several numbers to several."""
        return self.kind in MATRICES and min(self.rows, self.columns) > 1

    def blocks(self) -> Iterator[tuple[int, Numbers]]:
        """Yields pieces of bounded size: the number of the first row, floats (rows, columns)."""
        height = max(1, _BLOCK // max(1, self.columns))
        for start in range(0, self.rows, height):
            yield start, self.read(start, min(self.rows, start + height))

    def held(self) -> "StoredTensor":
        """Returns the same tensor in memory; a very large one as it is."""
        if self.count > _HELD:
            return self
        values = self.read(0, self.rows)
        return replace(self, read=lambda start, end: values[start:end])


def array_tensor(
    name: str, layer: str, kind: WeightKind, values: npt.NDArray[np.generic], units: int = 0
) -> StoredTensor:
    """Returns a tensor that is in memory.

    Args:
        name: Its name.
        layer: Name of its layer.
        kind: What it is.
        values: Its numbers; those that are no floats become some.
        units: Axis of its units.
    """
    floats = values if values.dtype.kind == "f" else values.astype(np.float64)
    first = np.moveaxis(floats, units, 0) if floats.ndim else floats.reshape(1)
    rows = len(first)
    matrix = first.reshape(rows, -1 if rows else 0)

    def read(start: int, end: int) -> Numbers:
        return matrix[start:end]

    return StoredTensor(name, layer, kind, values.shape, rows, matrix.shape[1], read)


def safetensors_of(path: Path) -> list[StoredTensor]:
    """Returns the tensors of floats in a safetensors file, in the order of the file.

    They are read by ranges of bytes, not mapped: pages of a mapped file count as memory.

    Raises:
        UnusableModelError: It is no such file.
    """
    entries = _entries(path)
    ordered = sorted(entries, key=lambda entry: entry.begin)
    return [_stored(path, entry) for entry in ordered if entry.dtype in _TYPES]


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int


def _entries(path: Path) -> list[_Entry]:
    with path.open("rb") as file:
        try:
            (size,) = struct.unpack("<Q", file.read(8))
            found = json.loads(file.read(min(size, _LARGEST_HEADER)))
        except (struct.error, ValueError) as error:
            raise UnusableModelError("The weights are no safetensors file.") from error
    found.pop("__metadata__", None)
    return [
        _Entry(name, each["dtype"], tuple(each["shape"]), 8 + size + each["data_offsets"][0])
        for name, each in found.items()
    ]


def _stored(path: Path, entry: _Entry) -> StoredTensor:
    rows = entry.shape[0] if entry.shape else 1
    columns = math.prod(entry.shape[1:])
    dtype = np.dtype(_TYPES[entry.dtype])

    def read(start: int, end: int) -> Numbers:
        with path.open("rb") as file:
            file.seek(entry.begin + start * columns * dtype.itemsize)
            found = np.fromfile(file, dtype, (end - start) * columns)
        return _floats(found, entry.dtype).reshape(end - start, columns)

    layer, _, role = entry.name.rpartition(".")
    kind = _kind(layer, role, len(entry.shape))
    return StoredTensor(entry.name, layer or NETWORK, kind, entry.shape, rows, columns, read)


def _floats(found: npt.NDArray[Any], dtype: str) -> Numbers:
    """Returns floats of at least 32 bits; a bfloat16 is the upper half of one."""
    if dtype == "BF16":
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found.astype(np.float32) if found.dtype.itemsize < 4 else found


def _kind(layer: str, role: str, sides: int) -> WeightKind:
    if role in _ROLES:
        return _ROLES[role]
    if sides == 1:
        # Layers with one number for each channel are norms.
        return WeightKind.NORM_SCALE if role == "weight" else WeightKind.BIAS
    if sides == 2:
        is_table = any(part in _TABLES for part in layer.split("."))
        return WeightKind.EMBEDDING if is_table else WeightKind.LINEAR
    return WeightKind.CONVOLUTION if sides > 2 else WeightKind.UNSPECIFIED

"""The digest of a data set: equal digests mean equal columns, values and split."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import Schema
from common.data.split import Parts


class ContentDigest:
    """SHA-256 over schema, data and split, however the rows are cut into batches.

    Each column has hashes of its own, fed with its values (missing ones as zeros) and its mask, so
    that the cuts leave no trace.
    """

    def __init__(self, schema: Schema, storage: pa.Schema) -> None:
        """Begins a digest.

        Args:
            schema: The data set's schema.
            storage: Arrow schema of the batches to come.
        """
        # Statistics follow from the values, and depend on the cuts in their last bits.
        columns = [
            (column.name, column.type, column.shape, column.categories, str(field.type))
            for column, field in zip(schema.columns, storage, strict=True)
        ]
        header: dict[str, object] = {
            "columns": columns,
            "target": schema.target,
            "task": schema.task,
        }
        if len(schema.targets) > 1:
            header["targets"] = schema.targets
        if schema.time_series is not None:
            header["time_series"] = asdict(schema.time_series)
        self._whole = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        self._columns = [_ColumnDigest() for _ in storage]
        self._split = hashlib.sha256()

    def update(self, batch: pa.RecordBatch, parts: Parts) -> None:
        """Adds rows and their parts of the split."""
        for digest, array in zip(self._columns, batch.columns, strict=True):
            digest.update(array)
        self._split.update(np.ascontiguousarray(parts).data)

    def hexdigest(self) -> str:
        """Returns the digest of all that was added."""
        whole = self._whole.copy()
        for column in self._columns:
            whole.update(column.digest())
        whole.update(self._split.digest())
        return whole.hexdigest()


class _ColumnDigest:
    def __init__(self) -> None:
        self._values = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._mask = hashlib.sha256()

    def update(self, array: pa.Array) -> None:
        if pa.types.is_dictionary(array.type):
            array = array.indices
        elif pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        elif pa.types.is_boolean(array.type):
            array = array.cast(pa.uint8())
        valid = pc.is_valid(array) if array.null_count else None
        mask = b"\1" * len(array) if valid is None else _bytes_of(valid.cast(pa.uint8()))
        self._mask.update(mask)
        if pa.types.is_string(array.type):
            self._update_text(pc.fill_null(array, ""))
        elif pa.types.is_fixed_size_binary(array.type):
            self._values.update(fixed_size_bytes(array))
        elif pa.types.is_fixed_size_list(array.type):
            self._update_vectors(array)
        else:
            self._values.update(_bytes_of(pc.fill_null(array, 0)))

    def _update_text(self, array: pa.StringArray) -> None:
        self._lengths.update(_bytes_of(pc.binary_length(array)))
        _, offsets, data = array.buffers()
        bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        if data is not None and len(array):
            self._values.update(memoryview(data)[bounds[0] : bounds[-1]])

    def _update_vectors(self, array: pa.FixedSizeListArray) -> None:
        width = array.type.list_size
        flat = array.values.slice(array.offset * width, len(array) * width)
        values = pc.fill_null(flat, 0).to_numpy(zero_copy_only=False).reshape(len(array), width)
        if array.null_count:
            values = values.copy()
            values[pc.is_null(array).to_numpy(zero_copy_only=False)] = 0
        self._values.update(np.ascontiguousarray(values).data.cast("B"))

    def digest(self) -> bytes:
        return self._values.digest() + self._lengths.digest() + self._mask.digest()


def fixed_size_bytes(array: pa.FixedSizeBinaryArray) -> memoryview:
    """Returns the bytes of all values in a row, without a copy."""
    width = array.type.byte_width
    start = array.offset * width
    return memoryview(array.buffers()[1])[start : start + len(array) * width]


def _bytes_of(array: pa.Array) -> memoryview:
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).data.cast("B")

"""How columns lie in Parquet, and as numpy arrays once read."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.data.digest import fixed_size_bytes
from common.data.schema import LABEL_TYPES, Column, ColumnType

Values = npt.NDArray[np.generic]

_SINGLE = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.float32())


def storage_field(column: Column, number: pa.DataType | None = None) -> pa.Field:
    """Returns the Arrow field that a column is stored as.

    Args:
        column: The column.
        number: Type of a numeric column's or an embedding's numbers.
    """
    if column.type is ColumnType.NUMERIC:
        return pa.field(column.name, number or pa.float64())
    if column.type is ColumnType.EMBEDDING:
        return pa.field(column.name, pa.list_(number or pa.float64(), column.shape[0]))
    types = {
        ColumnType.CATEGORICAL: pa.dictionary(pa.int32(), pa.string()),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.TEXT: pa.string(),
        ColumnType.TIMESTAMP: pa.timestamp("us"),
    }
    if column.type is ColumnType.IMAGE:
        return pa.field(column.name, pa.binary(int(np.prod(column.shape))), nullable=False)
    return pa.field(column.name, types[column.type])


def value_dtype(column: Column, stored: pa.DataType) -> np.dtype[np.generic]:
    """Returns the numpy type a column is read as.

    Numbers that float32 holds exactly are float32, others float64; categories and booleans are
    int32 codes; images uint8; embeddings what they are stored as; timestamps int64 (microseconds
    since 1970, UTC); text is object.
    """
    if column.type is ColumnType.NUMERIC:
        return np.dtype(np.float32 if stored in _SINGLE else np.float64)
    if column.type is ColumnType.EMBEDDING:
        kind: np.dtype[np.generic] = np.dtype(stored.value_type.to_pandas_dtype())
        return kind
    if column.type in LABEL_TYPES:
        return np.dtype(np.int32)
    fixed = {ColumnType.IMAGE: np.uint8, ColumnType.TIMESTAMP: np.int64}
    return np.dtype(fixed.get(column.type, object))


def decode(column: Column, stored: pa.ChunkedArray) -> Values:
    """Turns a stored column into numpy values.

    Args:
        column: The column.
        stored: Its values as read from a shard.

    Returns:
        Shape (rows,), images (rows, channels, height, width), embeddings (rows, length); types as
        `value_dtype` says. Missing numbers are NaN, also those of missing vectors; missing codes
        -1, missing timestamps the smallest int64, missing text None.
    """
    dtype = value_dtype(column, stored.type)
    if column.type is ColumnType.IMAGE:
        images = stored.combine_chunks()
        return np.frombuffer(fixed_size_bytes(images), np.uint8).reshape(-1, *column.shape)
    if column.type is ColumnType.EMBEDDING:
        return vectors(stored.combine_chunks())
    if column.type is ColumnType.CATEGORICAL:
        return _category_codes(column, stored)
    if column.type is ColumnType.BOOLEAN:
        return _filled(stored.cast(pa.int32()), -1)
    if column.type is ColumnType.TIMESTAMP:
        return _filled(stored.cast(pa.int64()), np.iinfo(np.int64).min)
    numbers: Values = stored.to_numpy().astype(dtype, copy=False)
    return numbers


def vectors(array: pa.FixedSizeListArray) -> Values:
    """Returns vectors of one length as shape (rows, length), missing ones as NaN."""
    width = array.type.list_size
    flat = array.values.slice(array.offset * width, len(array) * width)
    if flat.null_count or array.null_count:
        flat = pc.fill_null(flat.cast(_float_of(flat.type)), float("nan"))
    rows: Values = flat.to_numpy(zero_copy_only=False).reshape(len(array), width)
    if array.null_count:
        rows = rows.copy()
        rows[pc.is_null(array).to_numpy(zero_copy_only=False)] = np.nan
    return rows


def _float_of(kind: pa.DataType) -> pa.DataType:
    return kind if pa.types.is_floating(kind) else pa.float64()


def _category_codes(column: Column, stored: pa.ChunkedArray) -> Values:
    labels = pa.array(column.categories, pa.string())
    return _filled(pc.index_in(stored.cast(pa.string()), value_set=labels), -1)


def _filled(values: pa.ChunkedArray, missing: int) -> Values:
    filled: Values = pc.fill_null(values, missing).to_numpy()
    return filled

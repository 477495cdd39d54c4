"""Data set versions made from numpy arrays, stored as the catalog stores them."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.protocol import ObjectStore
from common.data.messages import counts_to_proto, schema_to_proto
from common.data.schema import Column, ColumnType, NumericStatistics, Schema, Task, TimeSeries
from common.data.shards import PARQUET_MEDIA_TYPE, ShardWriter
from common.data.storage import storage_field

Array = npt.NDArray[np.generic]

_TEXT_KIND = "T"


def text_array(texts: Sequence[str | None]) -> Array:
    """Returns a column of free text for `store_dataset`; None is missing."""
    return np.array(texts, dtype=np.dtypes.StringDType(na_object=None))


def store_dataset(
    store: ObjectStore,
    directory: Path,
    columns: Mapping[str, Array],
    parts: npt.NDArray[np.uint8],
    *,
    target: str = "",
    targets: Sequence[str] = (),
    time_series: TimeSeries | None = None,
    task: Task,
    name: str = "datasets/sample/versions/1",
) -> dataset_pb2.DatasetVersion:
    """Stores a data set version.

    Args:
        store: Where to.
        directory: For temporary files.
        columns: Values by column name: floats (NaN is missing), labels (object; None is missing),
            texts (see `text_array`), booleans, moments, or unsigned bytes [rows, channels, height,
            width].
        parts: Part of the split of each row.
        target: Name of the target column.
        targets: Of several targets all their names.
        time_series: Which columns make time series.
        task: What is to be learned.
        name: Resource name.

    Returns:
        The version with its shards.
    """
    schema = Schema(
        columns=tuple(_column(key, values) for key, values in columns.items()),
        task=task,
        target=target or next(iter(targets), ""),
        targets=tuple(targets),
        time_series=time_series,
    )
    batch = _batch(schema, columns)
    prefix = f"data/{name}/{secrets.token_hex(4)}/"
    writer = ShardWriter(
        schema,
        batch.schema,
        directory,
        lambda path, key: put_artifact(store, prefix + key, path, PARQUET_MEDIA_TYPE),
    )
    writer.write(batch, parts)
    written = writer.finish()
    return dataset_pb2.DatasetVersion(
        name=name,
        digest=written.digest,
        schema=schema_to_proto(schema),
        row_count=len(parts),
        split_counts=counts_to_proto(written.counts),
        shards=written.shards,
        size_bytes=written.size_bytes,
    )


def _batch(schema: Schema, columns: Mapping[str, Array]) -> pa.RecordBatch:
    """Returns columns as shards hold them."""
    arrays = {key: _arrow(values) for key, values in columns.items()}
    storage = pa.schema(
        [storage_field(column, _number_type(arrays[column.name])) for column in schema.columns]
    )
    return pa.record_batch(
        [arrays[field.name].cast(field.type) for field in storage], schema=storage
    )


def _column(name: str, values: Array) -> Column:
    if values.ndim == 4:
        return Column(name, ColumnType.IMAGE, shape=values.shape[1:])
    if values.dtype.kind == "M":
        return Column(name, ColumnType.TIMESTAMP, distinct_count=len(np.unique(values)))
    if values.dtype == np.bool_:
        return Column(name, ColumnType.BOOLEAN, distinct_count=len(np.unique(values)))
    if values.dtype.kind == _TEXT_KIND:
        return Column(name, ColumnType.TEXT, missing_count=values.tolist().count(None))
    if values.dtype == np.object_:
        known = sorted({value for value in values.tolist() if value is not None})
        return Column(
            name,
            ColumnType.CATEGORICAL,
            missing_count=sum(value is None for value in values.tolist()),
            categories=tuple(known),
            distinct_count=len(known),
        )
    numbers = values.astype(np.float64)
    known_numbers = numbers[~np.isnan(numbers)]
    statistics = NumericStatistics(
        min=float(known_numbers.min()),
        max=float(known_numbers.max()),
        mean=float(known_numbers.mean()),
        stddev=float(known_numbers.std()),
    )
    return Column(
        name,
        ColumnType.NUMERIC,
        missing_count=len(numbers) - len(known_numbers),
        distinct_count=len(np.unique(known_numbers)),
        numeric=statistics,
    )


def _arrow(values: Array) -> pa.Array:
    if values.ndim == 4:
        size = int(np.prod(values.shape[1:]))
        return pa.array([row.tobytes() for row in values], pa.binary(size))
    if values.dtype.kind == _TEXT_KIND:
        return pa.array(values.tolist(), pa.string())
    return pa.array(values, from_pandas=values.dtype != np.object_)


def _number_type(array: pa.Array) -> pa.DataType | None:
    return array.type if pa.types.is_floating(array.type) else None

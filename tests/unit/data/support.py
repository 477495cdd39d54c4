"""Small data sets in a store, for the tests of the data room."""

import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import put_artifact
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema
from common.data.shards import ShardWriter
from common.data.storage import storage_field

PARTS = np.array([0, 0, 1, 2, 0], np.uint8)
COLUMNS: Mapping[str, tuple[Column, pa.Array]] = {
    "exact": (Column("exact", ColumnType.NUMERIC), pa.array([1, None, 3, 4, 5], pa.int16())),
    "wide": (Column("wide", ColumnType.NUMERIC), pa.array([0.1, 0.2, None, 0.4, 0.5])),
    "colour": (
        Column("colour", ColumnType.CATEGORICAL, categories=("blue", "red")),
        pa.array(["red", None, "blue", "red", "red"]).dictionary_encode(),
    ),
    "truth": (Column("truth", ColumnType.BOOLEAN), pa.array([True, False, None, True, True])),
    "day": (
        Column("day", ColumnType.TIMESTAMP),
        pa.array([1, 2, None, 4, 5], pa.timestamp("us")),
    ),
    "note": (Column("note", ColumnType.TEXT), pa.array(["a", None, "", "ccc", "d"])),
    "picture": (
        Column("picture", ColumnType.IMAGE, shape=(1, 2, 2)),
        pa.array([bytes([i, i, i, 9]) for i in range(5)], pa.binary(4)),
    ),
}


def full_schema() -> tuple[Schema, pa.RecordBatch]:
    """Returns a schema with a column of each type, and five rows."""
    columns = tuple(column for column, _ in COLUMNS.values())
    arrays = [array for _, array in COLUMNS.values()]
    fields = [storage_field(column, array.type) for column, array in COLUMNS.values()]
    return Schema(columns), pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def store_version(
    store: ObjectStore, schema: Schema, *batches: tuple[pa.RecordBatch, npt.NDArray[np.uint8]]
) -> dataset_pb2.DatasetVersion:
    """Writes batches with their parts as a version."""
    folder = uuid.uuid4().hex

    def publish(file: Path, name: str) -> artifact_pb2.ArtifactRef:
        return put_artifact(store, f"runs/{folder}/{name}", file, "test")

    storage = batches[0][0].schema
    with (
        tempfile.TemporaryDirectory() as scratch,
        ShardWriter(schema, storage, Path(scratch), publish) as writer,
    ):
        for batch, parts in batches:
            writer.write(batch, parts)
        written = writer.finish()
    return dataset_pb2.DatasetVersion(
        name="datasets/test/versions/1",
        digest=written.digest,
        schema=schema_to_proto(schema),
        row_count=written.counts.total,
        shards=written.shards,
        size_bytes=written.size_bytes,
    )


def numbers_version(
    store: ObjectStore, values: npt.NDArray[np.generic], parts: npt.NDArray[np.uint8] | None = None
) -> dataset_pb2.DatasetVersion:
    """Writes a table of numbers, shape (rows, columns); its columns are `0`, `1`, ..."""
    names = [str(index) for index in range(values.shape[1])]
    schema = Schema(tuple(Column(name, ColumnType.NUMERIC) for name in names))
    arrays = [pa.array(np.ascontiguousarray(column)) for column in values.T]
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    if parts is None:
        parts = np.zeros(len(values), np.uint8)
    return store_version(store, schema, (batch, parts))


def named(schema: Schema, name: str) -> Schema:
    """Returns a schema whose first column has another name."""
    return replace(schema, columns=(replace(schema.columns[0], name=name), *schema.columns[1:]))

"""Reads the shards of a data set version."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import read_artifact
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.schema import Schema
from common.data.split import Parts
from common.data.storage import Values, decode

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ColumnBatch:
    """Rows of some columns.

    Attributes:
        columns: Values by column name, as `common.data.storage.decode` gives them.
        parts: Part of the split of each row, shape (rows,), see `Part`.
    """

    columns: dict[str, Values]
    parts: Parts

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.parts)


def stream_columns(
    version: dataset_pb2.DatasetVersion, store: ObjectStore, names: Sequence[str]
) -> Iterator[ColumnBatch]:
    """Yields the rows of a version, a shard at a time, in row order.

    Holds two shards in memory: the next is read while the current one is used.

    Args:
        version: The version, with its shards.
        store: Where the shards are.
        names: The columns wanted.

    Raises:
        KeyError: There is no such column.
        DataLossError: A shard does not match its digest.
    """
    schema = schema_from_proto(version.schema)
    for name in names:
        schema.column(name)

    def load(shard: dataset_pb2.Shard) -> ColumnBatch:
        return read_shard(shard, schema, store, names)

    return _one_ahead(load, version.shards)


def stream_stored(
    version: dataset_pb2.DatasetVersion, store: ObjectStore, name: str
) -> Iterator[tuple[pa.ChunkedArray, Parts]]:
    """Yields one column as it is stored and the part of each row, a shard at a time.

    Args:
        version: The version, with its shards.
        store: Where the shards are.
        name: The column.

    Raises:
        DataLossError: A shard does not match its digest.
    """

    def load(shard: dataset_pb2.Shard) -> tuple[pa.ChunkedArray, Parts]:
        values = _read_table(shard.data, store, [name]).column(name)
        return values, _read_parts(shard, store)

    return _one_ahead(load, version.shards)


def read_shard(
    shard: dataset_pb2.Shard, schema: Schema, store: ObjectStore, names: Sequence[str]
) -> ColumnBatch:
    """Returns the rows of one shard.

    Args:
        shard: The shard.
        schema: The data set's schema.
        store: Where the shard is.
        names: The columns wanted.

    Raises:
        DataLossError: The shard does not match its digest.
    """
    opened = OpenShard(shard, schema, store)
    return ColumnBatch(opened.columns(names), opened.parts)


class OpenShard:
    """A shard that was read, as it is stored: its columns are decoded when they are asked for.

    Attributes:
        parts: Part of the split of each row, shape (rows,), see `Part`.
    """

    def __init__(self, shard: dataset_pb2.Shard, schema: Schema, store: ObjectStore) -> None:
        """Reads a shard.

        Args:
            shard: The shard.
            schema: The data set's schema.
            store: Where the shard is.

        Raises:
            DataLossError: The shard does not match its digest.
        """
        self._schema = schema
        self._file = _read_file(shard.data, store)
        self.parts = _read_parts(shard, store)

    def columns(self, names: Sequence[str]) -> dict[str, Values]:
        """Returns some columns, as `common.data.storage.decode` gives them."""
        table = self._file.read(list(names))
        return {name: decode(self._schema.column(name), table.column(name)) for name in names}


def _read_parts(shard: dataset_pb2.Shard, store: ObjectStore) -> Parts:
    parts: Parts = _read_table(shard.split, store, ["split"]).column("split").to_numpy()
    return parts


def _read_table(
    ref: artifact_pb2.ArtifactRef, store: ObjectStore, names: Sequence[str]
) -> pa.Table:
    return _read_file(ref, store).read(list(names))


def _read_file(ref: artifact_pb2.ArtifactRef, store: ObjectStore) -> pq.ParquetFile:
    content, filled = bytearray(ref.size_bytes), 0  # joining chunks would hold all of it twice
    for chunk in read_artifact(store, ref):
        content[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))


def _one_ahead(load: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Result] | None = None
        for item in items:
            following = pool.submit(load, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

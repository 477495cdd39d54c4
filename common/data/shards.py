"""Writes a data set as Parquet shards of bounded size, with the split beside each."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2
from common.data.digest import ContentDigest
from common.data.messages import counts_to_proto
from common.data.schema import Schema, SplitCounts
from common.data.split import Parts, count_parts

MAX_SHARD_ROWS = 65_536
MAX_SHARD_BYTES = 64 * 1024 * 1024
PARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"
_WRITERS = 2

# Stores a finished file under a name and tells where it is.
Publish = Callable[[Path, str], artifact_pb2.ArtifactRef]


@dataclass(frozen=True)
class WrittenData:
    """What was written.

    Attributes:
        shards: The shards in row order.
        digest: SHA-256 over schema, data and split.
        counts: Rows of each part.
        size_bytes: Size of all files.
    """

    shards: list[dataset_pb2.Shard]
    digest: str
    counts: SplitCounts
    size_bytes: int


class ShardWriter:
    """Cuts a stream of batches into shards; holds about four of them in memory.

    While one is collected, two others are encoded and published, each by a thread of its own, and
    a batch counts towards the digest in another.
    """

    def __init__(
        self, schema: Schema, storage: pa.Schema, directory: Path, publish: Publish
    ) -> None:
        """Prepares to write.

        Args:
            schema: The data set's schema.
            storage: Arrow schema of the batches to come.
            directory: For the files before they are published.
            publish: Called with each finished file and its name, in another thread; the file is
                removed afterwards.
        """
        self._storage = storage
        self._directory = directory
        self._publish = publish
        self._digest = ContentDigest(schema, storage)
        self._batches: list[pa.RecordBatch] = []
        self._parts: list[Parts] = []
        self._rows = 0
        self._bytes = 0
        self._shards: list[dataset_pb2.Shard] = []
        self._number = 0
        self._hashing = ThreadPoolExecutor(1)
        self._writing = ThreadPoolExecutor(_WRITERS)
        self._hashed: Future[None] | None = None
        self._written: deque[Future[dataset_pb2.Shard]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for what is being written: nothing is published afterwards."""
        self._close()

    def _close(self) -> None:
        self._hashing.shutdown(cancel_futures=True)
        self._writing.shutdown(cancel_futures=True)

    def write(self, batch: pa.RecordBatch, parts: Parts) -> None:
        """Adds rows with their parts of the split, shape (rows,)."""
        if self._hashed is not None:
            self._hashed.result()
        self._hashed = self._hashing.submit(self._digest.update, batch, parts)
        start = 0
        while start < batch.num_rows:
            rows = min(batch.num_rows - start, self._room(batch))
            if rows == 0:
                self._flush()
                continue
            self._add(batch.slice(start, rows), parts[start : start + rows])
            start += rows

    def finish(self) -> WrittenData:
        """Writes what is left and returns everything that was written."""
        if self._rows:
            self._flush()
        self._await_shards(0)
        if self._hashed is not None:
            self._hashed.result()
        self._close()
        counts = [shard.split_counts for shard in self._shards]
        return WrittenData(
            shards=self._shards,
            digest=self._digest.hexdigest(),
            counts=SplitCounts(
                train=sum(count.train for count in counts),
                validation=sum(count.validation for count in counts),
                test=sum(count.test for count in counts),
            ),
            size_bytes=sum(
                shard.data.size_bytes + shard.split.size_bytes for shard in self._shards
            ),
        )

    def _room(self, batch: pa.RecordBatch) -> int:
        """Returns how many such rows the shard still takes; an empty one takes at least one."""
        row_bytes = max(1, int(batch.nbytes) // int(batch.num_rows))
        by_bytes = (MAX_SHARD_BYTES - self._bytes) // row_bytes
        room = min(MAX_SHARD_ROWS - self._rows, by_bytes)
        return max(room, 0 if self._rows else 1)

    def _add(self, batch: pa.RecordBatch, parts: Parts) -> None:
        self._batches.append(batch)
        self._parts.append(parts)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes

    def _flush(self) -> None:
        self._await_shards(_WRITERS - 1)
        data = pa.Table.from_batches(self._batches, self._storage)
        parts = np.concatenate(self._parts)
        written = self._writing.submit(self._publish_shard, self._number, data, parts)
        self._written.append(written)
        self._number += 1
        self._batches, self._parts, self._rows, self._bytes = [], [], 0, 0

    def _await_shards(self, left: int) -> None:
        """Waits until no more than so many shards are being written."""
        while len(self._written) > left:
            self._shards.append(self._written.popleft().result())

    def _publish_shard(self, number: int, data: pa.Table, parts: Parts) -> dataset_pb2.Shard:
        split = pa.table({"split": pa.array(parts)})
        return dataset_pb2.Shard(
            data=self._publish_table(data, f"data-{number:05d}.parquet"),
            split=self._publish_table(split, f"split-{number:05d}.parquet"),
            row_count=len(parts),
            split_counts=counts_to_proto(count_parts(parts)),
        )

    def _publish_table(self, table: pa.Table, name: str) -> artifact_pb2.ArtifactRef:
        path = self._directory / name
        labelled = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
        # One row group a shard. Statistics of wide tables would be as large as their data. Snappy
        # is read as fast as LZ4, in two thirds of Zstandard's time, and written in two thirds of
        # LZ4's time. Dictionaries of numbers cost more than they save.
        pq.write_table(
            table, path, compression="snappy", use_dictionary=labelled, write_statistics=False
        )
        try:
            return self._publish(path, name)
        finally:
            path.unlink()

"""A data set version as the table that is scanned."""

from collections.abc import Iterator, Sequence

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows
from common.data.schema import LABEL_TYPES, Column


class StoredTable:
    """Reads columns of a version from its shards, two of which are in memory at a time."""

    def __init__(
        self, version: dataset_pb2.DatasetVersion, store: ObjectStore, names: Sequence[str]
    ) -> None:
        """Reads nothing yet.

        Args:
            version: The version, with its shards.
            store: Where the shards are.
            names: The columns to look at.
        """
        self._version = version
        self._store = store
        schema = schema_from_proto(version.schema)
        self._columns = tuple(schema.column(name) for name in names)
        self._labels = {
            each.name: each.labels for each in self._columns if each.type in LABEL_TYPES
        }

    @property
    def columns(self) -> Sequence[Column]:
        """The columns to look at."""
        return self._columns

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return self._version.row_count

    def batches(self) -> Iterator[RawRows]:
        """Yields the rows in order, a shard at a time."""
        names = [column.name for column in self._columns]
        for batch in stream_columns(self._version, self._store, names):
            yield RawRows(batch.columns, self._labels)

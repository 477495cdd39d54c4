"""Shards: what is written is read, sizes are bounded, the digest sees content only."""

import io
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.artifacts.memory import MemoryStore
from common.data import shards
from common.data.messages import schema_from_proto, schema_to_proto
from common.data.reader import stream_columns
from common.data.schema import (
    Column,
    ColumnType,
    NumericStatistics,
    Schema,
    Task,
    TimeRange,
    TimeSeries,
    ValueCount,
)
from common.errors import DataLossError
from tests.unit.data.support import PARTS, full_schema, named, numbers_version, store_version


def test_every_type_comes_back() -> None:
    """Each column type is decoded as documented, missing values included."""
    store = MemoryStore()
    schema, batch = full_schema()
    version = store_version(store, schema, (batch, PARTS))
    (read,) = stream_columns(version, store, [column.name for column in schema.columns])
    columns = read.columns
    assert {name: str(values.dtype) for name, values in columns.items()} == {
        "exact": "float32",
        "wide": "float64",
        "colour": "int32",
        "truth": "int32",
        "day": "int64",
        "note": "object",
        "picture": "uint8",
    }
    np.testing.assert_array_equal(columns["exact"], np.array([1, np.nan, 3, 4, 5], np.float32))
    np.testing.assert_array_equal(columns["wide"], [0.1, 0.2, np.nan, 0.4, 0.5])
    assert columns["colour"].tolist() == [1, -1, 0, 1, 1]
    assert columns["truth"].tolist() == [1, 0, -1, 1, 1]
    assert columns["day"].tolist() == [1, 2, -(2**63), 4, 5]
    assert columns["note"].tolist() == ["a", None, "", "ccc", "d"]
    assert columns["picture"].shape == (5, 1, 2, 2)
    assert columns["picture"][3].tolist() == [[[3, 3], [3, 9]]]
    assert read.parts.tolist() == PARTS.tolist()


def test_other_programs_read_the_files() -> None:
    """A shard is plain Parquet: labels are strings, the split is a file of its own beside it."""
    store = MemoryStore()
    schema, batch = full_schema()
    version = store_version(store, schema, (batch, PARTS))
    shard = version.shards[0]
    data = pq.read_table(io.BytesIO(store.read(shard.data.uri.split("/", 3)[3])[0]))
    assert data.column("colour").to_pylist() == ["red", None, "blue", "red", "red"]
    assert data.column("exact").to_pylist() == [1, None, 3, 4, 5]
    split = pq.read_table(io.BytesIO(store.read(shard.split.uri.split("/", 3)[3])[0]))
    assert split.to_pydict() == {"split": PARTS.tolist()}
    counts = shard.split_counts
    assert (counts.train, counts.validation, counts.test) == (3, 1, 1)


def test_rows_of_a_shard_are_bounded() -> None:
    """70,000 narrow rows make two shards, in order."""
    store = MemoryStore()
    values = np.arange(70_000, dtype=np.int32)[:, np.newaxis]
    version = numbers_version(store, values)
    assert [shard.row_count for shard in version.shards] == [65_536, 4_464]
    read = [batch.columns["0"] for batch in stream_columns(version, store, ["0"])]
    assert np.array_equal(np.concatenate(read), values[:, 0])


def test_bytes_of_a_shard_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide rows are cut by their bytes; a single row may be larger than a shard should be."""
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 1000)
    store = MemoryStore()
    version = numbers_version(store, np.zeros((25, 10)))
    assert [shard.row_count for shard in version.shards] == [12, 12, 1]
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 10)
    version = numbers_version(store, np.zeros((3, 10)))
    assert [shard.row_count for shard in version.shards] == [1, 1, 1]


def test_digest_ignores_the_cuts() -> None:
    """However rows arrive in batches, equal content has an equal digest."""
    schema, batch = full_schema()
    whole = store_version(MemoryStore(), schema, (batch, PARTS))
    cut = store_version(
        MemoryStore(),
        schema,
        (batch.slice(0, 2), PARTS[:2]),
        (batch.slice(2, 1), PARTS[2:3]),
        (batch.slice(3), PARTS[3:]),
    )
    assert cut.digest == whole.digest


def test_digest_sees_every_column_and_the_split() -> None:
    """A change of any value, of the split or of the schema changes the digest."""
    schema, batch = full_schema()
    digests = {store_version(MemoryStore(), schema, (batch, PARTS)).digest}
    for index, column in enumerate(batch.columns):
        changed = list(batch.columns)
        changed[index] = column.take(pa.array([1, 0, 2, 3, 4]))
        other = pa.RecordBatch.from_arrays(changed, schema=batch.schema)
        digests.add(store_version(MemoryStore(), schema, (other, PARTS)).digest)
    digests.add(store_version(MemoryStore(), schema, (batch, PARTS[::-1])).digest)
    digests.add(store_version(MemoryStore(), named(schema, "other"), (batch, PARTS)).digest)
    assert len(digests) == 1 + len(batch.columns) + 2


def test_digest_tells_missing_from_zero() -> None:
    """A missing value is not a zero, and an empty text is not a missing one."""

    def digest(values: pa.Array, kind: ColumnType) -> str:
        batch = pa.RecordBatch.from_arrays([values], names=["a"])
        schema = Schema((Column("a", kind),))
        return store_version(MemoryStore(), schema, (batch, PARTS[:2])).digest

    number, text = ColumnType.NUMERIC, ColumnType.TEXT
    assert digest(pa.array([0, 1]), number) != digest(pa.array([None, 1]), number)
    assert digest(pa.array(["", "a"]), text) != digest(pa.array([None, "a"]), text)
    assert digest(pa.array(["ab", "c"]), text) != digest(pa.array(["a", "bc"]), text)


def test_damaged_shard() -> None:
    """Bytes that changed in the store are found before they are decoded."""
    store = MemoryStore()
    version = numbers_version(store, np.ones((5, 2)))
    key = version.shards[0].data.uri.split("/", 3)[3]
    data = bytearray(store.read(key)[0])
    data[10] ^= 1
    store.write(key, bytes(data))
    with pytest.raises(DataLossError, match="damaged"):
        list(stream_columns(version, store, ["0"]))


def test_unknown_column() -> None:
    """A column that does not exist is named at once."""
    store = MemoryStore()
    version = numbers_version(store, np.ones((5, 2)))
    with pytest.raises(KeyError, match="7"):
        next(stream_columns(version, store, ["7"]))


def test_schema_messages() -> None:
    """A schema survives its message."""
    statistics = NumericStatistics(-1.5, 2, 0.25, 1, tuple(range(20)), (-1.5, 0, 2))
    span = TimeRange(
        datetime(1999, 1, 2, tzinfo=UTC), datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)
    )
    tops = (ValueCount("b", 3), ValueCount("a", 1))
    schema = Schema(
        (
            Column("x", ColumnType.NUMERIC, 3, distinct_count=7, numeric=statistics),
            Column("empty", ColumnType.NUMERIC, 10),
            Column("y", ColumnType.CATEGORICAL, categories=("a", "b"), top_values=tops),
            Column("t", ColumnType.TEXT, text_length=statistics),
            Column("when", ColumnType.TIMESTAMP, time_range=span),
            Column("i", ColumnType.IMAGE, shape=(3, 4, 5)),
        ),
        Task.FORECASTING,
        "x",
        "Because.",
        ("x", "empty"),
        TimeSeries("when", "y", ("t",), "MS", 2),
    )
    assert schema_from_proto(schema_to_proto(schema)) == schema

"""Previews: the rows asked for, from the shards that have them, in a message of bounded size."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data import shards
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema
from common.data.shards import ShardWriter
from common.errors import InvalidFieldError
from services.catalog.domain.preview import RowRange, choose_rows
from services.catalog.domain.rows import MAX_BYTES, ShardFiles, read_rows
from tests.unit.catalog.support import field_of

Request = dataset_pb2.PreviewDatasetRequest


class CountingStore(MemoryStore):
    """Knows how often an object was downloaded."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads: list[str] = []

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.downloads.append(key)
        return super().download(key, offset, length)


def stored(
    store: MemoryStore, folder: Path, columns: list[Column], arrays: list[pa.Array]
) -> dataset_pb2.DatasetVersion:
    """Stores columns as a version."""
    schema = Schema(tuple(columns))
    batch = pa.record_batch(arrays, names=[column.name for column in columns])
    writer = ShardWriter(
        schema, batch.schema, folder, lambda path, name: put_artifact(store, name, path, "test")
    )
    writer.write(batch, (np.arange(batch.num_rows) % 3).astype(np.uint8))
    written = writer.finish()
    return dataset_pb2.DatasetVersion(
        name="datasets/d/versions/1",
        schema=schema_to_proto(schema),
        row_count=batch.num_rows,
        shards=written.shards,
    )


def numbers(store: MemoryStore, folder: Path, rows: int) -> dataset_pb2.DatasetVersion:
    """Stores a column of whole numbers and one of texts."""
    columns = [Column("n", ColumnType.NUMERIC), Column("t", ColumnType.TEXT)]
    return stored(store, folder, columns, [pa.array(range(rows)), pa.array(["x"] * rows)])


def preview(
    store: MemoryStore, version: dataset_pb2.DatasetVersion, request: Request
) -> dataset_pb2.PreviewDatasetResponse:
    """Answers as the service and its helper do, over the bytes between them."""
    rows = RowRange.unpack(choose_rows(version, request).pack())
    return read_rows(ShardFiles(store), rows)


@pytest.mark.parametrize(
    ("offset", "count", "expected", "opened"),
    [
        (0, 0, range(20), 2),
        (8, 5, range(8, 13), 2),
        (30, 3, range(30, 33), 1),
        (38, 1000, range(38, 40), 1),
        (40, 5, range(0), 0),
        (39, 1, range(39, 40), 1),
    ],
)
def test_rows_and_shards(
    offset: int,
    count: int,
    expected: range,
    opened: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the shards that have the rows are read, and the parts are those of the rows."""
    monkeypatch.setattr(shards, "MAX_SHARD_ROWS", 10)
    store = CountingStore()
    version = numbers(store, tmp_path, 40)
    got = preview(store, version, Request(offset=offset, row_count=count, columns=["n"]))
    assert list(got.table.columns[0].integers.values) == list(expected)
    assert list(got.parts) == [row % 3 for row in expected]
    assert len(store.downloads) == 2 * opened
    assert [column.name for column in got.table.columns] == ["n"]


def test_shards_are_kept(tmp_path: Path) -> None:
    """The next page of a shard that was just read downloads nothing."""
    store = CountingStore()
    version = numbers(store, tmp_path, 40)
    files = ShardFiles(store)
    for offset in (0, 20):
        read_rows(files, choose_rows(version, Request(offset=offset)))
    assert len(store.downloads) == 2


def test_values(tmp_path: Path) -> None:
    """Each type arrives as the contract says, with its missing rows."""
    moment = 1_700_000_000_500_000
    pixels = np.arange(12, dtype=np.uint8).tobytes()
    columns = {
        Column("whole", ColumnType.NUMERIC): pa.array([1, None], pa.int8()),
        Column("real", ColumnType.NUMERIC): pa.array([0.5, None], pa.float32()),
        Column("label", ColumnType.CATEGORICAL, categories=("a",)): pa.array(
            ["a", None]
        ).dictionary_encode(),
        Column("truth", ColumnType.BOOLEAN): pa.array([True, None]),
        Column("when", ColumnType.TIMESTAMP): pa.array([moment, None], pa.timestamp("us")),
        Column("text", ColumnType.TEXT): pa.array(["é" * 9000, None]),
        Column("gray", ColumnType.IMAGE, shape=(1, 3, 4)): pa.array([pixels] * 2, pa.binary(12)),
        Column("colour", ColumnType.IMAGE, shape=(3, 2, 2)): pa.array([pixels] * 2, pa.binary(12)),
    }
    store = MemoryStore()
    version = stored(store, tmp_path, list(columns), list(columns.values()))
    got = {column.name: column for column in preview(store, version, Request()).table.columns}
    assert got["whole"].integers.values[0] == 1
    assert got["real"].doubles.values[0] == 0.5
    assert got["label"].strings.values[0] == "a"
    assert got["truth"].booleans.values[0]
    assert got["when"].strings.values[0] == "2023-11-14T22:13:20.500000Z"
    assert got["text"].strings.values[0] == "é" * 4000
    gray = Image.open(io.BytesIO(got["gray"].blobs.values[0]))
    assert np.asarray(gray).tobytes() == pixels
    colour = Image.open(io.BytesIO(got["colour"].blobs.values[1]))
    assert np.asarray(colour).transpose(2, 0, 1).tobytes() == pixels
    missing = {name: list(column.missing_rows) for name, column in got.items()}
    assert missing == {name: [] if name in ("gray", "colour") else [1] for name in got}


def test_embedding(tmp_path: Path) -> None:
    """Vectors are JSON lists."""
    column = Column("e", ColumnType.EMBEDDING, shape=(2,))
    values = pa.array([[0.5, 1.0]], pa.list_(pa.float32(), 2))
    store = MemoryStore()
    writer_schema = schema_to_proto(Schema((column,)))
    path = tmp_path / "d.parquet"
    pa.parquet.write_table(pa.table({"e": values}), path)
    split = tmp_path / "s.parquet"
    pa.parquet.write_table(pa.table({"split": pa.array([0], pa.uint8())}), split)
    shard = dataset_pb2.Shard(
        data=put_artifact(store, "d", path, "test"),
        split=put_artifact(store, "s", split, "test"),
        row_count=1,
    )
    version = dataset_pb2.DatasetVersion(schema=writer_schema, shards=[shard], row_count=1)
    got = preview(store, version, Request())
    assert json.loads(got.table.columns[0].strings.values[0]) == [0.5, 1.0]


def test_size_is_bounded(tmp_path: Path) -> None:
    """Rows that make a large message are fewer; the next call goes on after them."""
    store = MemoryStore()
    texts = pa.array(["y" * 3900] * 900)
    version = stored(store, tmp_path, [Column("t", ColumnType.TEXT)], [texts])
    got = preview(store, version, Request(row_count=900))
    assert 100 < len(got.parts) < 900
    assert got.ByteSize() <= MAX_BYTES


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(offset=-1), "offset"),
        (Request(row_count=1001), "row_count"),
        (Request(row_count=-1), "row_count"),
        (Request(columns=["z"]), "columns"),
        (Request(columns=["n", "n"]), "columns"),
        (Request(columns=["n"] * 101), "columns"),
    ],
)
def test_bad_requests(request_: Request, field: str, tmp_path: Path) -> None:
    """What cannot be shown is refused with the field."""
    version = numbers(MemoryStore(), tmp_path, 2)
    with pytest.raises(InvalidFieldError) as caught:
        choose_rows(version, request_)
    assert field_of(caught.value) == field

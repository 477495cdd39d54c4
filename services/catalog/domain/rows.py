"""Rows of a version as a small table that rides in a message."""

import io
import json
from collections import OrderedDict
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2, table_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.data.messages import schema_from_proto
from common.data.schema import Column, ColumnType
from common.errors import InvalidFieldError
from services.catalog.domain.preview import RowRange

MAX_BYTES = 1 << 20
_MAX_TEXT = 4000
# gRPC's default limit, less what surrounds the table.
_MAX_ANSWER = 4 * MAX_BYTES - 4096
_MAX_SIDE = 512
_KEPT_BYTES = 128 * 1024**2


class ShardFiles:
    """The files of shards that were read last, in memory: previews go on where they stopped."""

    def __init__(self, store: ObjectStore) -> None:
        """Begins with none."""
        self._store = store
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def open(self, ref: artifact_pb2.ArtifactRef) -> pq.ParquetFile:
        """Returns a file of a shard. Raises `DataLossError` where it is gone or damaged."""
        content = self._files.pop(ref.sha256, None)
        if content is None:
            content = b"".join(read_artifact(self._store, ref))
        self._files[ref.sha256] = content
        while sum(map(len, self._files.values())) > _KEPT_BYTES and len(self._files) > 1:
            self._files.popitem(last=False)
        return pq.ParquetFile(pa.BufferReader(content))


def read_rows(files: ShardFiles, rows: RowRange) -> dataset_pb2.PreviewDatasetResponse:
    """Returns rows, as many as fit into `MAX_BYTES`, but at least one.

    Args:
        files: Where the shards are.
        rows: The rows.

    Raises:
        DataLossError: A shard is gone or damaged.
        InvalidFieldError: A single row of the columns is too large for a message.
    """
    if not rows.version.shards:
        return dataset_pb2.PreviewDatasetResponse(table=_empty(rows.version.schema))
    names = [column.name for column in rows.version.schema.columns]
    data, parts = [], []
    for shard in rows.version.shards:
        data.append(files.open(shard.data).read(names))
        parts.append(files.open(shard.split).read().column("split"))
    table = pa.concat_tables(data, promote_options="permissive").slice(rows.skip, rows.count)
    split = pa.concat_tables([pa.table({"split": each}) for each in parts])
    return _fitting(rows.version.schema, table, split.column("split").slice(rows.skip, rows.count))


def _fitting(
    schema: dataset_pb2.Schema, table: pa.Table, parts: pa.ChunkedArray
) -> dataset_pb2.PreviewDatasetResponse:
    """Builds the answer, anew with fewer rows while it is too large."""
    columns = schema_from_proto(schema).columns
    heavy = table.nbytes // max(1, table.num_rows)
    count = max(1, min(table.num_rows, 8 * MAX_BYTES // max(1, heavy)))
    while True:
        answer = dataset_pb2.PreviewDatasetResponse(
            table=table_pb2.Table(
                columns=[_column(each, table.column(each.name).slice(0, count)) for each in columns]
            ),
            parts=parts.slice(0, count).to_pylist(),
        )
        size = answer.ByteSize()
        if size <= MAX_BYTES or (count == 1 and size <= _MAX_ANSWER):
            return answer
        if count == 1:
            raise InvalidFieldError(
                "columns", f"one row of these columns has {size} bytes; ask for fewer columns"
            )
        count = max(1, min(count - 1, count * MAX_BYTES // size))


def _column(column: Column, values: pa.ChunkedArray) -> table_pb2.Column:
    known = values.to_pylist()
    missing = [row for row, value in enumerate(known) if value is None]
    message = table_pb2.Column(name=column.name, missing_rows=missing)
    if column.type is ColumnType.NUMERIC and pa.types.is_integer(values.type):
        message.integers.values.extend(value or 0 for value in known)
    elif column.type is ColumnType.NUMERIC:
        message.doubles.values.extend(float("nan") if each is None else each for each in known)
    elif column.type is ColumnType.BOOLEAN:
        message.booleans.values.extend(bool(value) for value in known)
    elif column.type is ColumnType.IMAGE:
        message.blobs.values.extend(_png(value, column.shape) for value in known)
    else:
        write = _WRITERS.get(column.type, _cut)
        message.strings.values.extend("" if each is None else write(each) for each in known)
    return message


def _png(pixels: bytes, shape: tuple[int, ...]) -> bytes:
    """Encodes an image of unsigned bytes, channels x height x width."""
    channels, height, width = shape
    plane = height * width
    planes = [
        Image.frombytes("L", (width, height), pixels[start : start + plane])
        for start in range(0, channels * plane, plane)
    ]
    image = Image.merge("RGB", planes) if channels == 3 else planes[0]
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _cut(value: object) -> str:
    return str(value)[:_MAX_TEXT]


def _moment(value: object) -> str:
    text: str = value.isoformat()  # type: ignore[attr-defined]
    return f"{text}Z"


_WRITERS: dict[ColumnType, Callable[[object], str]] = {
    ColumnType.TIMESTAMP: _moment,
    ColumnType.EMBEDDING: json.dumps,
}


def _empty(schema: dataset_pb2.Schema) -> table_pb2.Table:
    return table_pb2.Table(columns=[table_pb2.Column(name=each.name) for each in schema.columns])

"""Every format through the real service: what comes out is what went in."""

import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from PIL import Image

from aimass.catalog.v1 import dataset_pb2, transfer_pb2
from aimass.type.v1 import artifact_pb2, run_pb2
from tests.integration.catalog.harness import Catalog
from tests.unit.catalog.support import npz_of, zip_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMERIC = dataset_pb2.COLUMN_TYPE_NUMERIC
CATEGORICAL = dataset_pb2.COLUMN_TYPE_CATEGORICAL
BOOLEAN = dataset_pb2.COLUMN_TYPE_BOOLEAN
TEXT = dataset_pb2.COLUMN_TYPE_TEXT
TIMESTAMP = dataset_pb2.COLUMN_TYPE_TIMESTAMP
IMAGE = dataset_pb2.COLUMN_TYPE_IMAGE
EMBEDDING = dataset_pb2.COLUMN_TYPE_EMBEDDING

Values = list[Any]
Columns = dict[str, tuple[int, Values]]

ROWS = 24
NUMBERS = [row / 8 for row in range(ROWS)]
LABELS = ["red", "green", "blue"] * (ROWS // 3)
FLAGS = [row % 5 == 0 for row in range(ROWS)]
DAYS = [datetime(2024, 1, 1 + row) for row in range(ROWS)]
NOTES = [f'note {row}: a, b and "c": привет' for row in range(ROWS)]
PIXELS = [[[row * 10 + x for x in range(4)] for _ in range(3)] for row in range(ROWS)]
TABLE = pa.table({"x": NUMBERS, "c": LABELS, "f": FLAGS, "t": DAYS})
PLAIN: Columns = {
    "x": (NUMERIC, NUMBERS),
    "c": (CATEGORICAL, LABELS),
    "f": (BOOLEAN, FLAGS),
    "t": (TIMESTAMP, DAYS),
}


@dataclass(frozen=True)
class Case:
    """A file and what its data set must hold.

    Attributes:
        filename: Tells the format.
        content: The file.
        columns: Type and values of each column, in the order of the rows.
        spec: Further fields of the request.
    """

    filename: str
    content: bytes
    columns: Columns
    spec: dict[str, Any] = field(default_factory=dict)


def zstd(content: bytes) -> bytes:
    """Returns bytes compressed with Zstandard."""
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(content)
    return bytes(target.getvalue())


def written(write: Callable[[pa.Table, io.BytesIO], object]) -> bytes:
    """Returns what a function writes of the table."""
    buffer = io.BytesIO()
    write(TABLE, buffer)
    return buffer.getvalue()


def lines(*columns: Values, between: str = ",") -> str:
    """Returns rows of text."""
    return "".join(
        f"{between.join(str(value) for value in row)}\n" for row in zip(*columns, strict=True)
    )


def csv() -> bytes:
    """Returns the table as CSV."""
    times = [day.isoformat() for day in DAYS]
    return ("x,c,f,t\n" + lines(NUMBERS, LABELS, FLAGS, times)).encode()


def arrow_stream(table: pa.Table, sink: io.BytesIO) -> None:
    """Writes an Arrow stream."""
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def folder_of(ending: str, contents: list[bytes]) -> dict[str, bytes]:
    """Returns files in two folders of classes, which are read in the order of their names."""
    half = len(contents) // 2
    return {
        f"{'ab'[row // half]}/{row:02d}.{ending}": content for row, content in enumerate(contents)
    }


def pictures() -> dict[str, bytes]:
    """Returns images in folders."""

    def encode(pixels: Values) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.array(pixels, np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    return folder_of("png", [encode(pixels) for pixels in PIXELS])


def tar_gz(files: dict[str, bytes]) -> bytes:
    """Returns a compressed tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


HALVES: tuple[int, Values] = (CATEGORICAL, ["a"] * (ROWS // 2) + ["b"] * (ROWS // 2))
PICTURES: Columns = {"image": (IMAGE, PIXELS), "label": HALVES}
OVERRIDES = dataset_pb2.CsvOptions(
    delimiter="|",
    quote="'",
    encoding="latin-1",
    header=False,
    decimal_separator=",",
    missing_values=["?"],
)
SERIES = dataset_pb2.TimeSeries(time_column="day", series_column="shop")
JSON_ROWS = "".join(
    json.dumps({"x": x, "c": c, "f": f, "t": t.isoformat()}) + "\n"
    for x, c, f, t in zip(NUMBERS, LABELS, FLAGS, DAYS, strict=True)
)
ARFF = "@relation r\n@attribute x numeric\n@attribute c {red,green,blue}\n@data\n"
SPARSE = "".join(f"{row % 2} 1:{row} 3:{row / 2}\n" for row in range(ROWS))

CASES = {
    "csv": Case("t.csv", csv(), PLAIN),
    "csv.gz": Case("t.csv.gz", gzip.compress(csv()), PLAIN),
    "csv.zst": Case("t.csv.zst", zstd(csv()), PLAIN),
    "csv with overrides": Case(
        "t.csv",
        (
            "?|'Größe | x'\n"
            + lines([f"{row},5" for row in range(ROWS)], ["'ä|b'"] * ROWS, between="|")
        ).encode("latin-1"),
        {
            "column0": (NUMERIC, [None, *(row + 0.5 for row in range(ROWS))]),
            "column1": (TEXT, ["Größe | x", *["ä|b"] * ROWS]),
        },
        {"csv": OVERRIDES, "column_types": {"column1": TEXT}},
    ),
    "texts in csv": Case(
        "t.csv",
        (
            "x,note\n"
            + lines(
                NUMBERS,
                [json.dumps(note, ensure_ascii=False).replace('\\"', '""') for note in NOTES],
            )
        ).encode(),
        {"x": (NUMERIC, NUMBERS), "note": (TEXT, NOTES)},
    ),
    "time series": Case(
        "t.csv",
        (
            "day,shop,sales\n"
            + lines([day.date() for day in DAYS] * 2, ["n"] * ROWS + ["s"] * ROWS, NUMBERS * 2)
        ).encode(),
        {
            "day": (TIMESTAMP, DAYS * 2),
            "shop": (CATEGORICAL, ["n"] * ROWS + ["s"] * ROWS),
            "sales": (NUMERIC, NUMBERS * 2),
        },
        {"time_series": SERIES, "target": "sales"},
    ),
    "parquet": Case("t.parquet", written(pq.write_table), PLAIN),
    "json lines": Case("t.jsonl", JSON_ROWS.encode(), PLAIN),
    "arrow stream": Case("t.arrow", written(arrow_stream), PLAIN),
    "feather": Case("t.feather", written(pyarrow.feather.write_feather), PLAIN),
    "npz": Case(
        "t.npz",
        npz_of(X=np.array([NUMBERS, NUMBERS[::-1]]).T, y=np.arange(ROWS) % 2),
        {
            "X_0": (NUMERIC, NUMBERS),
            "X_1": (NUMERIC, NUMBERS[::-1]),
            "y": (CATEGORICAL, ["0", "1"] * (ROWS // 2)),
        },
    ),
    "images in zip": Case("t.zip", zip_of(pictures()), PICTURES),
    "images in tar": Case("t.tar.gz", tar_gz(pictures()), PICTURES),
    "texts in zip": Case(
        "t.zip",
        zip_of(folder_of("txt", [note.encode() for note in NOTES])),
        {"text": (TEXT, NOTES), "label": HALVES},
    ),
    "arff": Case(
        "t.arff",
        (ARFF + lines(NUMBERS, LABELS)).encode(),
        {"x": (NUMERIC, NUMBERS), "c": (CATEGORICAL, LABELS)},
    ),
    "libsvm": Case(
        "t.libsvm",
        SPARSE.encode(),
        {
            "target": (CATEGORICAL, ["0", "1"] * (ROWS // 2)),
            "features": (EMBEDDING, [[float(row), 0.0, row / 2] for row in range(ROWS)]),
        },
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(running: Catalog) -> dict[str, str]:
    """The imports of all cases, by their names: they work while the first ones are looked at."""
    names = {}
    for name, case in CASES.items():
        dataset = f"datasets/f-{uuid.uuid4().hex[:8]}"
        names[name] = (await running.create(case.content, case.filename, dataset, **case.spec)).name
    return names


@pytest.mark.parametrize("name", CASES)
async def test_format(running: Catalog, started: dict[str, str], name: str) -> None:
    """Schema, statistics, preview and the stored rows are those of the file."""
    case = CASES[name]
    await running.follow(started[name])
    done = await running.datasets.GetDatasetImport(
        dataset_pb2.GetDatasetImportRequest(name=started[name])
    )
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    version = await running.version(f"{done.spec.dataset}/versions/latest")
    assert {each.name: each.type for each in version.schema.columns} == {
        column: kind for column, (kind, _) in case.columns.items()
    }
    for known in version.schema.columns:
        check_statistics(known, case.columns[known.name][1])
    preview = await running.datasets.PreviewDataset(
        dataset_pb2.PreviewDatasetRequest(name=version.name, row_count=1000)
    )
    assert preview.total_rows == version.row_count == len(preview.parts)
    stored = pa.concat_tables([await download(running, shard.data) for shard in version.shards])
    parts = pa.concat_tables([await download(running, shard.split) for shard in version.shards])
    assert parts.column("split").to_pylist() == list(preview.parts)
    assert [column.name for column in preview.table.columns] == list(case.columns)
    for column in preview.table.columns:
        kind, expected = case.columns[column.name]
        assert plain(kind, stored.column(column.name).to_pylist()) == plain(kind, expected)
        check_preview(column, kind, expected)


def check_statistics(column: dataset_pb2.ColumnSchema, values: Values) -> None:
    """Compares what the schema says of a column with numpy."""
    known = [value for value in values if value is not None]
    assert column.missing_count == len(values) - len(known)
    if column.type == NUMERIC:
        assert (column.numeric.min, column.numeric.max) == (min(known), max(known))
        assert column.numeric.mean == pytest.approx(np.mean(known))
        assert column.numeric.stddev == pytest.approx(np.std(known))
        assert list(column.numeric.histogram) == np.histogram(known, 20)[0].tolist()
        assert list(column.numeric.percentiles) == pytest.approx(
            np.percentile(known, range(0, 101, 5)).tolist()
        )
    elif column.type in (CATEGORICAL, BOOLEAN, TEXT):
        words = [str(value).lower() if column.type == BOOLEAN else value for value in known]
        counts = {top.value: top.count for top in column.top_values}
        assert all(words.count(word) == count for word, count in counts.items())
        assert column.distinct_count == len(set(words))
    elif column.type == TIMESTAMP:
        span = column.time_range
        assert (span.min.ToDatetime(), span.max.ToDatetime()) == (min(known), max(known))


def check_preview(column: Any, kind: int, expected: Values) -> None:
    """Compares the values of a preview with those of the file."""
    values = list(getattr(column, column.WhichOneof("values")).values)
    assert len(values) == len(expected)
    if kind == IMAGE:
        decoded = [np.asarray(Image.open(io.BytesIO(each))).tolist() for each in values]
        assert decoded == expected
        return
    read: dict[int, Callable[[Any], Any]] = {
        TIMESTAMP: lambda text: datetime.fromisoformat(text).replace(tzinfo=None),
        EMBEDDING: json.loads,
    }
    missing = set(column.missing_rows)
    assert missing == {row for row, value in enumerate(expected) if value is None}
    for row, (got, wanted) in enumerate(zip(values, expected, strict=True)):
        if row not in missing:
            assert read.get(kind, lambda value: value)(got) == wanted


def plain(kind: int, values: Values) -> Values:
    """Returns values as they are compared: images as bytes."""
    if kind != IMAGE:
        return values
    return [
        each if isinstance(each, bytes) else np.array(each, np.uint8).tobytes() for each in values
    ]


async def download(running: Catalog, ref: artifact_pb2.ArtifactRef) -> pa.Table:
    """Reads a file of a version through the service."""
    call = running.transfers.ReadArtifact(transfer_pb2.ReadArtifactRequest(artifact=ref))
    chunks = [message.chunk async for message in call if message.WhichOneof("content") == "chunk"]
    return pq.read_table(pa.BufferReader(b"".join(chunks)))

"""Parquet, Arrow, JSON Lines, ARFF and LIBSVM: what is read, and what is refused."""

import contextlib
import datetime
import gzip
import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.schema import ColumnType, Task
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.sources import arff_file
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.opening import open_source
from services.catalog.domain.spec import ImportSpec, SplitSpec
from tests.unit.catalog.support import field_of, import_bytes

NO_SPLIT = SplitSpec(validation_fraction=0)
PARQUET, ARROW, JSON_LINES, ARFF, LIBSVM = (
    DataFormat.PARQUET,
    DataFormat.ARROW,
    DataFormat.JSON_LINES,
    DataFormat.ARFF,
    DataFormat.LIBSVM,
)
TABLE = pa.table(
    {
        "small": pa.array([1, None, 3], pa.int8()),
        "half": pa.array([0.5, None, 1.5], pa.float16()),
        "wide": pa.array([0.1, float("nan"), 0.3]),
        "money": pa.array([Decimal("1.50"), None, Decimal("2.25")], pa.decimal128(9, 2)),
        "truth": pa.array([True, None, False]),
        "colour": pa.array(["red", None, "red"]).dictionary_encode(),
        "note": pa.array(["1", "2", None], pa.large_string()),
        "day": pa.array([datetime.date(2024, 1, 31), None, datetime.date(1969, 1, 1)]),
        "when": pa.array([1_000_000_001, None, 0], pa.timestamp("ns", "Europe/Berlin")),
        "vector": pa.array([[1.0, 2.0], None, [3.0, 4.5]], pa.list_(pa.float32(), 2)),
        "list": pa.array([[1, 2, 3], [4, 5, 6], None], pa.list_(pa.int64())),
        "nested": pa.array([{"a": 1}, None, {"a": 2}]),
        "dotted.name": pa.array([1, 2, 3]),
    }
)


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def arrow_file(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(table, buffer, compression="lz4")
    return buffer.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("write", "file_format"),
    [(parquet, PARQUET), (arrow_file, ARROW), (arrow_stream, ARROW)],
)
def test_arrow_types(write: object, file_format: DataFormat) -> None:
    """Each Arrow type has its column type, with missing values in their places."""
    assert callable(write)
    got = import_bytes(write(TABLE), file_format, split=NO_SPLIT)
    columns = got.schema.columns
    assert [column.name for column in columns] == TABLE.column_names
    kinds = "numeric numeric numeric numeric boolean categorical categorical timestamp timestamp"
    assert [column.type.value for column in columns] == [
        *kinds.split(),
        "embedding",
        "embedding",
        "categorical",
        "numeric",
    ]
    assert [column.missing_count for column in columns] == [1] * 12 + [0]
    np.testing.assert_array_equal(got.columns["half"], [0.5, np.nan, 1.5])
    np.testing.assert_array_equal(got.columns["money"], [1.5, np.nan, 2.25])
    assert got.columns["when"][0] == 1_000_000
    vectors = np.array([[1, 2], [np.nan, np.nan], [3, 4.5]], np.float32)
    np.testing.assert_array_equal(got.columns["vector"], vectors)
    assert got.columns["vector"].dtype == np.float32
    assert got.columns["list"][1].tolist() == [4, 5, 6]
    assert got.schema.column("list").shape == (3,)
    assert got.labels("nested") == ['{"a": 1}', None, '{"a": 2}']


def test_asked_for_types_of_texts() -> None:
    """Texts of a typed file are numbers only where that is asked for."""
    content = parquet(pa.table({"x": ["1", "2.5"], "y": ["a", "b"]}))
    got = import_bytes(content, PARQUET, column_types={"x": ColumnType.NUMERIC}, split=NO_SPLIT)
    assert got.columns["x"].tolist() == [1, 2.5]


def test_lists_as_texts() -> None:
    """Lists of numbers of whatever lengths are texts where that is asked for."""
    content = parquet(pa.table({"v": [[1, 2], [3], None]}))
    got = import_bytes(content, PARQUET, column_types={"v": ColumnType.TEXT}, split=NO_SPLIT)
    assert got.columns["v"].tolist() == ["[1, 2]", "[3]", None]


@pytest.mark.parametrize(
    ("write", "file_format"),
    [(parquet, PARQUET), (arrow_file, ARROW), (arrow_stream, ARROW)],
)
@pytest.mark.parametrize("is_encoded", [False, True])
def test_long_texts_come_in_small_batches(
    write: object, file_format: DataFormat, is_encoded: bool, tmp_path: Path
) -> None:
    """A batch is bounded by what its rows hold, however little of that is stored."""
    assert callable(write)
    texts = pa.array(["x" * 1_000_000, "y" * 1_000_000] * 100)
    texts = texts.dictionary_encode() if is_encoded else texts
    check_batches(write(pa.table({"t": texts})), file_format, tmp_path, 200)


@pytest.mark.parametrize("file_format", [JSON_LINES, ARFF])
def test_long_lines_come_in_small_batches(file_format: DataFormat, tmp_path: Path) -> None:
    """A batch of a text format is bounded by the size of its lines, whatever the first are."""
    text = "x" * 500_000
    lines = ['"a"'] * 200 + [f'"{text}"'] * 200
    content = "\n".join(f'{{"t": {line}}}' for line in lines)
    if file_format is ARFF:
        content = "\n".join(["@attribute t string", "@data", *lines])
    check_batches(content.encode(), file_format, tmp_path, 400)


def check_batches(content: bytes, file_format: DataFormat, folder: Path, rows: int) -> None:
    """Checks that the batches of a file hold all rows and are small."""
    path = folder / "file"
    path.write_bytes(content)
    spec = ImportSpec(dataset="datasets/d", upload="uploads/u")
    with open_source(path, file_format, folder, spec) as source:
        sizes = [(batch.num_rows, batch.nbytes) for batch in source.batches(["t"])]
    assert sum(size for size, _ in sizes) == rows
    assert max(size for _, size in sizes) <= 80_000_000


@pytest.mark.parametrize("file_format", [PARQUET, ARROW, JSON_LINES, ARFF, LIBSVM])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"ARROW1\0\0", b"\0" * 100, b"\xff{[ 3:"])
def test_damaged(file_format: DataFormat, content: bytes) -> None:
    """Bytes that are no such file are refused, whatever they are."""
    with pytest.raises(InvalidFieldError) as caught:
        import_bytes(content, file_format)
    assert field_of(caught.value) == "dataset_import.spec.upload"


@settings(max_examples=60)
@given(st.data())
def test_flipped_bytes(data: st.DataObject) -> None:
    """A Parquet or Arrow file with a wrong byte is read or refused, nothing else."""
    write, file_format = data.draw(
        st.sampled_from([(parquet, PARQUET), (arrow_file, ARROW), (arrow_stream, ARROW)])
    )
    content = bytearray(write(TABLE))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(InvalidFieldError):
        import_bytes(bytes(content), file_format, split=NO_SPLIT)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"x": pa.array([b"a"])}), "column `x` has the type binary"),
        (pa.table({"v": pa.array([[1.0], [1.0, 2.0]])}), "of other lengths"),
        (pa.table({"v": pa.array([[1.0, float("inf")]])}), "infinite or missing number in row 1"),
        (pa.table({"t": pa.array([2**60], pa.timestamp("s"))}), "`t` holds a time outside"),
        (pa.table({"t": pa.array([2**31 - 1], pa.date32())}), "`t` holds a time outside"),
        (pa.table({"t": pa.array([2**61], pa.timestamp("ms", "UTC"))}), "`t` holds a time outside"),
        (pa.table({"t": pa.array([2**62], pa.timestamp("us"))}), "`t` holds a time outside"),
        (pa.table({}), "0 columns"),
        (pa.table({"x": pa.array([], pa.int8())}), "no rows"),
    ],
)
def test_refused_tables(table: pa.Table, words: str) -> None:
    """A column that cannot be imported is named."""
    with pytest.raises(InvalidFieldError, match=words):
        import_bytes(arrow_stream(table), ARROW)


def test_json_lines() -> None:
    """Types go by all lines; lists of one length are embeddings, what is nested is text."""
    lines = [
        '{"a": 1, "t": "2024-01-01", "v": [1, 2], "l": [1], "n": {"k": [1]}, "m": 1, "big": 1e30}',
        '{"a": 2.5, "t": "2024-01-02", "v": [3, 4.5], "l": [1, 2], "m": "x", "late": true}',
    ]
    got = import_bytes(gzip.compress("\n".join(lines).encode()), JSON_LINES, split=NO_SPLIT)
    types = {column.name: column.type.value for column in got.schema.columns}
    assert types == {
        "a": "numeric",
        "t": "timestamp",
        "v": "embedding",
        "l": "categorical",
        "n": "categorical",
        "m": "categorical",
        "big": "numeric",
        "late": "boolean",
    }
    assert got.columns["v"].tolist() == [[1, 2], [3, 4.5]]
    assert got.labels("l") == ["[1]", "[1,2]"]
    assert got.labels("m") == ["1", "x"]
    assert got.labels("late") == [None, "true"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1}\n{"a":\n', "line 2 is no JSON"),
        (b'{"a": 1}\n[1]\n', "line 2 is no object"),
        (b'{"a": 1}\n\n{"a": "\xff"}\n', "line 3 is not UTF-8"),
        (b'{"a": 1, "A": 2}\n', "`A` is there in several spellings"),
        (b"\n\n", "no rows"),
        (b'{"a": 1}\n{"a": 1, "a": 2}\n', "line 2 has the key `a` twice"),
        (b'{"a": {"b": 1, "b": 2}}\n', "line 1 has the key `b` twice"),
        (b'{"a": 1, "A": 2, "A_1": 3}\n', "`A` is there in several spellings"),
        (b'{"json": 1}\n"x"\n', "line 2 is no object"),
        (b"1\n2\n", "line 1 is no object"),
        (b'{"a": 1}\n{"a": "' + b"x" * 2**25 + b'"}\n', "line 2 is longer than 16 MiB"),
        (b'{"d": "infinity"}\n{"d": "2024-01-01"}\n', "`d` holds a time outside the years"),
    ],
)
def test_bad_json_lines(content: bytes, words: str) -> None:
    """The first line that cannot be read is named."""
    with pytest.raises(InvalidFieldError, match=words):
        import_bytes(content, JSON_LINES)


def test_keys_that_look_like_the_readers_own() -> None:
    """Names that the reader gives by itself are names like others where the file has them."""
    got = import_bytes(b'{"json": 1}\n{"json": "x"}\n', JSON_LINES, split=NO_SPLIT)
    assert got.labels("json") == ["1", "x"]
    got = import_bytes(b'{"Temp": 1, "temp_1": 2}\n', JSON_LINES, split=NO_SPLIT)
    assert (got.columns["Temp"].tolist(), got.columns["temp_1"].tolist()) == ([1], [2])


WEATHER = """% comment
@RELATION 'the weather'
@attribute 'out look' {sunny, 'over cast', "rai\\'ny"}
@attribute temperature REAL
@attribute "note" string
@attribute day date "yyyy-MM-dd HH:mm"
@attribute class {no, yes}
@DATA
sunny, 1.5, 'a, ''b', "2024-01-31 10:30", no
""".replace("'a, ''b'", "'a, \\'b'")


def test_arff() -> None:
    """Names and labels in quotes, comments, dates, missing values and sparse rows."""
    content = WEATHER + "'over cast', nan, ?, ?, yes\n{1\t3 , 4 'yes'}\n{ }\n"
    got = import_bytes(content.encode(), ARFF, split=NO_SPLIT)
    assert got.labels("out look") == ["sunny", "over cast", "sunny", "sunny"]
    np.testing.assert_array_equal(got.columns["temperature"], [1.5, np.nan, 3, 0])
    assert got.labels("note") == ["a, 'b", None, None, None]
    moment = np.datetime64("2024-01-31T10:30", "us").astype(np.int64)
    assert got.columns["day"].tolist()[0] == moment
    assert got.schema.target == "class"
    assert got.labels("class") == ["no", "yes", "yes", "no"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sunny, 1, a", "line 10 has 3 values where 5"),
        ("rain, 1, a, ?, no", "line 10 has `rain` for `out look`"),
        ("sunny, x, a, ?, no", "line 10 has `x` for `temperature`"),
        ("sunny, 1, a, 2024, no", "line 10 has `2024` for `day`"),
        ("sunny, 1, 'a, ?, no", "line 10 has a quote"),
        ("{7 1}", "line 10 names the attribute `7`"),
        ("{1 1", "line 10 has a brace"),
        ("{1 1'}", "line 10 has a quote"),
        ("{1}", "line 10 has `` for `temperature`"),
        ("sunny," + " " * 100_000 + "it's, a, ?, no", "line 10 has a quote"),
        ("{1 1," + " " * 100_000 + "it's}", "line 10 names the attribute `it's`"),
        ("x" * 2**24, "line 10 is longer than 16 MiB"),
    ],
)
def test_bad_arff(line: str, words: str) -> None:
    """A row that does not fit its declaration is refused with its line."""
    with pytest.raises(InvalidFieldError, match=words):
        import_bytes((WEATHER + line).encode(), ARFF)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.text(" \t", max_size=3))
def test_arff_values_round_trip(texts: list[str], space: str) -> None:
    """Whatever stands in quotes comes back, with whatever space around it."""
    escaped = [text.replace("\\", "\\\\").replace("'", "\\'") for text in texts]
    line = ",".join(f"{space}'{text}'{space}" for text in escaped)
    assert arff_file._split(line, 1) == [(text, True) for text in texts]


def test_libsvm() -> None:
    """Sparse rows become vectors; their first index is 1, or 0 where one is used."""
    got = import_bytes(b"1 1:0.5 3:2 # x\n-1 2:1\n\n+1\n", LIBSVM, split=NO_SPLIT)
    assert got.columns["features"].tolist() == [[0.5, 0, 2], [0, 1, 0], [0, 0, 0]]
    assert got.schema.task is Task.CLASSIFICATION
    assert got.labels("target") == ["1", "-1", "1"]
    assert import_bytes(b"1.5 0:1\n2.5 1:1\n", LIBSVM).schema.column("features").shape == (2,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"1 1:1\n2 999999999:1\n", "line 2 has the index 999999999"),
        (b"1 1:1\n2 qid:3 1:1\n", "line 2 is no row"),
        (b"1 2:1 1:1\n", "do not ascend"),
        (b"1 60000:1\n" * 100, "with their zeros"),
        (b"1 1:1\n1 " + b" " * 2**24, "line 2 is longer than 16 MiB"),
    ],
)
def test_bad_libsvm(content: bytes, words: str) -> None:
    """Absurd widths are refused before memory is taken for them."""
    with pytest.raises(InvalidFieldError, match=words):
        import_bytes(content, LIBSVM, limits=ArchiveLimits(max_file_bytes=10_000_000))

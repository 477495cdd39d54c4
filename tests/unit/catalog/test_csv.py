"""CSV files: what is read, and what is refused with line and cure."""

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from common.data.schema import ColumnType, Part, Task
from common.errors import InvalidFieldError
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.base import MAX_COLUMNS
from services.catalog.domain.sources.csv_file import CsvSource
from services.catalog.domain.spec import CsvOptions, ImportSpec, SplitSpec
from tests.unit.catalog.support import field_of, import_bytes

NO_SPLIT = SplitSpec(validation_fraction=0)


def test_breast_cancer() -> None:
    """A real table arrives exactly: values, names, statistics, target, stratified split."""
    frame = load_breast_cancer(as_frame=True).frame
    got = import_bytes(frame.to_csv(index=False).encode())
    assert [column.name for column in got.schema.columns] == list(frame.columns)
    for name in frame.columns[:-1]:
        assert np.array_equal(got.columns[name], frame[name]), name
        statistics = got.schema.column(name).numeric
        assert statistics is not None
        assert statistics.mean == pytest.approx(frame[name].mean())
        assert statistics.stddev == pytest.approx(frame[name].std(ddof=0))
        assert (statistics.min, statistics.max) == (frame[name].min(), frame[name].max())
    assert got.schema.task is Task.CLASSIFICATION
    assert got.schema.target == "target"
    assert got.labels("target") == [str(value) for value in frame["target"]]
    assert got.rows(Part.VALIDATION) == round(0.2 * 569)
    share = frame["target"].mean()
    assert frame["target"][got.parts == Part.VALIDATION].mean() == pytest.approx(share, abs=0.01)


def test_types_go_by_the_whole_file() -> None:
    """A word after 40,000 numbers makes the column text: no type is guessed from a sample."""
    lines = ["a,b", *(f"{i},{i}" for i in range(40_000)), "1,oops"]
    got = import_bytes("\n".join(lines).encode())
    assert got.schema.column("a").type is ColumnType.NUMERIC
    assert got.schema.column("b").type is ColumnType.TEXT
    assert got.columns["b"][-1] == "oops"


def test_guessed_types() -> None:
    """Each kind of value is told apart, missing ones counted."""
    text = (
        "number,truth,day,colour,note,empty\n"
        "1.5,true,2024-01-31,red,a,\n"
        "NA,False,2024-02-01 10:30:00,,b,\n"
        " +3 ,TRUE,,blue,NaN,\n"
    )
    got = import_bytes(text.encode(), split=NO_SPLIT)
    kinds = [column.type.value for column in got.schema.columns]
    assert kinds == ["numeric", "boolean", "timestamp", "categorical", "categorical", "numeric"]
    assert [column.missing_count for column in got.schema.columns] == [1, 0, 1, 1, 1, 3]
    np.testing.assert_array_equal(got.columns["number"], [1.5, np.nan, 3])
    assert got.labels("truth") == ["true", "false", "true"]
    assert got.labels("colour") == ["red", None, "blue"]
    assert got.columns["day"][1] == np.datetime64("2024-02-01T10:30:00", "us").astype(np.int64)
    assert got.schema.column("empty").numeric is None


def test_labels_keep_words_that_mean_missing_numbers() -> None:
    """Namibia's code is a label in a column of labels."""
    got = import_bytes(b"country\nNA\nDE\nNA\n", split=NO_SPLIT)
    assert got.labels("country") == ["NA", "DE", "NA"]


def test_long_whole_numbers_stay_exact() -> None:
    """Whole numbers up to 2^53 keep every digit; they are stored as narrow as they fit."""
    got = import_bytes(b"a,b\n9007199254740991,1\n-5,255\n", split=NO_SPLIT)
    assert got.columns["a"].tolist() == [9007199254740991, -5]
    assert got.columns["b"].dtype == np.float32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1 is empty"),
        (b"\n\n", "line 1 is empty"),
        (b"a,b\n", "no rows"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b"a,b,a\n1,2,3\n", "`a` more than once"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 values where the header has 2"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 values where the header has 2"),
        (b'a,b\n1,"x\ny"\n3\n', "line 4 has 1 values"),
        ("a,b\nü,2\n".encode() + b"x\xff,4\n", "line 3 is not UTF-8"),
        (b"a\0,b\n1,2\n", "line 1 is not UTF-8"),
        (b'a,b\n1,2\n3,"x\n', "line 3 has a quote that does not end"),
        (b"a,b\r\n1,2\n3,4\r\n", "line 2 ends unlike"),
        (b'a,b\n1,2\nunicode,"x\n', "line 3 has a quote that does not end"),
        (b"a;b\n1;'x\n\ny'\n3\n", "line 5 has 1 values"),
        (b'a,b\n1,"' + b"x\n" * 100_000 + b'"\n3\n', "line 100003 has 1 values"),
    ],
)
def test_bad_files(content: bytes, words: str) -> None:
    """A file that is empty, ragged or undecodable is refused with its line, nothing is repaired."""
    quote = "'" if b"'" in content else ""
    with pytest.raises(InvalidFieldError) as caught:
        import_bytes(content, csv=CsvOptions(quote=quote))
    assert field_of(caught.value) == "dataset_import.spec.upload"
    assert words in caught.value.message


def test_as_many_columns_as_may_be(tmp_path: Path) -> None:
    """DuckDB holds hundreds of rows of all columns at once, and has a limit of memory."""
    names = [f"c{place}" for place in range(MAX_COLUMNS)]
    line = ",".join(["1.5"] * MAX_COLUMNS)
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([",".join(names), *[line] * 600]))
    source = CsvSource(path, tmp_path, ImportSpec(dataset="datasets/wide"), 1 << 30)
    batches = list(source.batches(names))
    assert sum(each.num_rows for each in batches) == 600
    assert {len(each.columns) for each in batches} == {MAX_COLUMNS}


def test_ragged_line_late_in_a_large_file() -> None:
    """The line number is right behind many parallel chunks of the reader."""
    content = b"a,b\n" + b"1,2\n" * 200_000 + b"3\n" + b"5,6\n" * 10
    with pytest.raises(InvalidFieldError, match="line 200002 has 1 values"):
        import_bytes(content)


CELLS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6
).filter(lambda text: text.strip() == text and text.lower() != "nan")


@settings(max_examples=25)
@given(st.lists(st.tuples(CELLS, st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_round_trip(rows: list[tuple[str, float]]) -> None:
    """Whatever text and numbers a file holds, they come back, row for row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["text", "number"])
    writer.writerows((text, repr(number)) for text, number in rows)
    got = import_bytes(
        buffer.getvalue().encode(), column_types={"text": ColumnType.TEXT}, split=NO_SPLIT
    )
    assert got.columns["text"].tolist() == [text for text, _ in rows]
    assert got.columns["number"].tolist() == [number for _, number in rows]


@settings(max_examples=20)
@given(st.lists(st.one_of(st.none(), st.integers(-300, 300)), min_size=1, max_size=60))
def test_missing_numbers_round_trip(values: list[int | None]) -> None:
    """An empty cell is a missing value, in its place."""
    lines = ["key,value", *(f"k,{'' if value is None else value}" for value in values)]
    got = import_bytes("\n".join(lines).encode(), split=NO_SPLIT)
    read = [None if math.isnan(value) else int(value) for value in got.columns["value"]]
    assert read == values
    assert got.schema.column("value").missing_count == values.count(None)


@pytest.mark.parametrize(
    ("usual", "last", "kind"),
    [
        ("2024-01-31T00:{0:02d}:{1:02d}", "infinity", ColumnType.TEXT),
        ("2024-01-31T00:{0:02d}:{1:02d}", "soon", ColumnType.TEXT),
        ("{0}.{1}", "soon", ColumnType.TEXT),
        ("{0}.{1}", "NA", ColumnType.NUMERIC),
        ("{0}.{1}", " ", ColumnType.NUMERIC),
        ("{0}.{1}", "NaN", ColumnType.NUMERIC),
        ("2024-01-31T00:{0:02d}:{1:02d}", "NA", ColumnType.TIMESTAMP),
    ],
)
def test_late_value_of_another_kind(usual: str, last: str, kind: ColumnType) -> None:
    """Whatever stands in row 20,000 is read as it would be in row 1."""
    cells = [usual.format(i // 60 % 60, i % 60) for i in range(20_000)]
    lines = "\n".join(["x,n", *(f"{cell},1" for cell in cells), f'"{last}",2'])
    got = import_bytes(lines.encode(), split=NO_SPLIT).schema.column("x")
    assert got.type is kind
    assert got.missing_count == (0 if kind is ColumnType.TEXT else 1)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a;b\n1,5;x\n2,5;y\n", ["a", "b"]),
        ("a\tb\n1.5\tx, z\n2.5\ty\n", ["a", "b"]),
        ("a|b\n1.5|x\n2.5|y\n", ["a", "b"]),
        ("1.5,x\n2.5,y\n", ["column0", "column1"]),
        ("1.5,2\n2.5,3\n", ["column0", "column1"]),
        ("country,2020,2021\nDE,1.5,2\nFR,2.5,3\n", ["country", "2020", "2021"]),
        ("0,1\n1.5,x\n2.5,y\n", ["0", "1"]),
        ("text\na, b\nc\n".replace("a, b", '"a, b"'), ["text"]),
    ],
)
def test_dialect_is_found(content: str, names: list[str]) -> None:
    """Delimiter, header and decimal comma are found out."""
    got = import_bytes(content.encode(), split=NO_SPLIT)
    assert [column.name for column in got.schema.columns] == names
    if len(names) == 2 and names[0] != "0":
        assert got.columns[names[0]].tolist() == [1.5, 2.5]


def test_dialect_is_given() -> None:
    """What the request says of the file goes before what is found."""
    content = "'a:x':'b'\n7:?\n8:'0,5'\n".encode("utf-16-le")
    options = CsvOptions(
        delimiter=":",
        quote="'",
        encoding="utf-16-le",
        header=False,
        decimal_separator=",",
        missing_values=["?"],
    )
    got = import_bytes(content, split=NO_SPLIT, csv=options)
    assert [column.name for column in got.schema.columns] == ["column0", "column1"]
    assert got.labels("column0") == ["a:x", "7", "8"]
    header = options.model_copy(update={"header": True})
    got = import_bytes(content, split=NO_SPLIT, csv=header)
    np.testing.assert_array_equal(got.columns["b"], [np.nan, 0.5])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed(compression: str) -> None:
    """A compressed file is known by its first bytes; a damaged or huge one is refused."""
    plain = b"a,b\n" + b"1,x\n2,y\n" * 5000
    packed = pa.compress(plain, compression, asbytes=True) if compression == "zstd" else None
    packed = packed or gzip.compress(plain)
    assert import_bytes(packed, split=NO_SPLIT).data.data.counts.total == 10_000
    with pytest.raises(InvalidFieldError, match="cut off or damaged"):
        import_bytes(packed[: len(packed) // 2])
    with pytest.raises(InvalidFieldError, match="unpacks to more than 1,000 bytes"):
        import_bytes(packed, limits=ArchiveLimits(max_file_bytes=1000))


def test_byte_order_mark() -> None:
    """UTF-16 with its mark is read; without one it is not guessed."""
    got = import_bytes("a,ü\n1,ä\n2,ö\n".encode("utf-16"), split=NO_SPLIT)
    assert got.labels("ü") == ["ä", "ö"]


def test_wrong_encoding() -> None:
    """Text that is not in the given encoding, and an encoding that does not exist, are refused."""
    with pytest.raises(InvalidFieldError, match="no text encoding"):
        import_bytes(b"a\n1\n", csv=CsvOptions(encoding="klingon"))
    with pytest.raises(InvalidFieldError, match="not utf-16"):
        import_bytes(b"a,b\n1,2\n3", csv=CsvOptions(encoding="utf-16"))

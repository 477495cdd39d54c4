"""Rows of messages become raw rows, or an error that names the field."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aimass.type.v1 import table_pb2
from common.data.schema import Column, ColumnType, Schema
from common.errors import InvalidFieldError
from services.outlier.domain.preparation.columns import MISSING_TIME
from services.outlier.rows import raw_rows

SCHEMA = Schema(
    (
        Column("size", ColumnType.NUMERIC),
        Column("kind", ColumnType.CATEGORICAL, categories=("a", "b")),
        Column("ok", ColumnType.BOOLEAN),
        Column("note", ColumnType.TEXT),
        Column("when", ColumnType.TIMESTAMP),
        Column("face", ColumnType.IMAGE, shape=(1, 2, 3)),
        Column("place", ColumnType.EMBEDDING, shape=(2,)),
        Column("target", ColumnType.NUMERIC),
    )
)
WANTED = [column.name for column in SCHEMA.columns if column.name != "target"]


def table(**columns: table_pb2.Column) -> table_pb2.Table:
    """Returns a table of named columns."""
    message = table_pb2.Table()
    for name, column in columns.items():
        column.name = name
        message.columns.append(column)
    return message


def doubles(*values: float, missing: tuple[int, ...] = ()) -> table_pb2.Column:
    """Returns a column of numbers."""
    return table_pb2.Column(doubles=table_pb2.DoubleValues(values=values), missing_rows=missing)


def strings(*values: str, missing: tuple[int, ...] = ()) -> table_pb2.Column:
    """Returns a column of texts."""
    return table_pb2.Column(strings=table_pb2.StringValues(values=values), missing_rows=missing)


def blobs(*values: bytes) -> table_pb2.Column:
    """Returns a column of bytes."""
    return table_pb2.Column(blobs=table_pb2.BytesValues(values=values))


def png(width: int, height: int, mode: str = "L") -> bytes:
    """Returns an encoded image."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 7 if mode == "L" else (7, 7, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def test_all_types_are_read_as_a_data_set_is() -> None:
    """A row of a message means what the same row of a data set means."""
    rows = table(
        size=doubles(1.5, 2.0, missing=(1,)),
        kind=strings("b", "never seen"),
        ok=table_pb2.Column(booleans=table_pb2.BoolValues(values=[True, False])),
        note=strings("hello", "", missing=(1,)),
        when=strings("2026-01-31T12:00:00Z", "", missing=(1,)),
        face=blobs(png(3, 2), png(3, 2, "RGB")),
        place=blobs(np.array([1, 2], "<f4").tobytes(), np.array([3, 4], "<f4").tobytes()),
    )
    raw = raw_rows(rows, SCHEMA, WANTED, "rows")
    assert raw.columns["size"][0] == 1.5 and np.isnan(raw.columns["size"][1])
    kinds = [raw.labels["kind"][code] for code in raw.columns["kind"]]
    assert kinds == ["b", "never seen"]
    assert [raw.labels["ok"][code] for code in raw.columns["ok"]] == ["true", "false"]
    assert raw.columns["note"].tolist() == ["hello", None]
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1e6
    assert raw.columns["when"].tolist() == [moment, MISSING_TIME]
    assert raw.columns["face"].shape == (2, 1, 2, 3)
    assert (raw.columns["face"] == 7).all()
    assert raw.columns["place"].tolist() == [[1, 2], [3, 4]]


def test_wide_gray_is_read_as_a_data_set_is() -> None:
    """An image of 16 bits a pixel is scaled, not clipped to white."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3), 0x4000, np.uint16)).save(buffer, "PNG")
    raw = raw_rows(table(face=blobs(buffer.getvalue())), SCHEMA, ["face"], "rows")
    assert (raw.columns["face"] == 0x40).all()


def test_nothing_is_read_where_values_are_missing() -> None:
    """Something stands in the place of a missing value, and may be anything."""
    raw = raw_rows(table(ok=strings("", "true", missing=(0,))), SCHEMA, WANTED, "rows")
    labels = [*raw.labels["ok"], None]
    assert [labels[code] for code in raw.columns["ok"]] == [None, "true"]


def test_rows_that_would_take_too_much_memory_are_refused() -> None:
    """Columns that are missing, and images, take more room than the message has."""
    schema = Schema((*SCHEMA.columns, Column("scan", ColumnType.IMAGE, shape=(3, 2000, 2000))))
    wanted = [*WANTED, "scan"]
    with pytest.raises(InvalidFieldError, match="send at most 5 at once"):
        raw_rows(table(size=doubles(*[1.0] * 6)), schema, wanted, "rows")
    raw = raw_rows(table(size=doubles(*[1.0] * 5)), schema, wanted, "rows")
    assert np.isnan(raw.columns["scan"][0, 0, 0, 0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_images_are_named(kind: str) -> None:
    """Whatever a decoder makes of damaged bytes, it is an image or an error that names it."""
    generator = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, (2, 3), dtype=np.uint8)).save(buffer, kind)
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    for _ in range(200):
        damaged = whole.copy()
        damaged[generator.integers(0, len(whole), 3)] = generator.integers(0, 256, 3)
        cut = damaged[: generator.integers(1, len(whole) + 1)].tobytes()
        try:
            raw = raw_rows(table(face=blobs(cut)), SCHEMA, ["face"], "rows")
        except InvalidFieldError as error:
            assert error.violations[0].field == "rows.columns[0].blobs.values[0]"
        else:
            assert raw.columns["face"].shape == (1, 1, 2, 3)


def test_columns_that_are_left_out_are_missing() -> None:
    """Rows can be scored on what is known of them; other columns of the data are ignored."""
    raw = raw_rows(table(size=doubles(1.0), target=doubles(9.0)), SCHEMA, WANTED, "rows")
    assert set(raw.columns) == set(WANTED)
    assert raw.columns["kind"].tolist() == [-1]
    assert raw.columns["when"].tolist() == [MISSING_TIME]
    assert raw.columns["note"].tolist() == [None]
    assert np.isnan(raw.columns["place"]).all()


@pytest.mark.parametrize(
    ("rows", "path", "hint"),
    [
        (table(), "rows.columns", "at least one"),
        (table(size=doubles()), "rows", "1 to 10,000"),
        (table(other=doubles(1.0)), "rows.columns[0].name", "size"),
        (table(target=doubles(1.0)), "rows.columns", "looks at size"),
        (table(size=strings("1")), "rows.columns[0]", "numbers"),
        (table(size=doubles(1.0), kind=strings("a", "b")), "rows.columns[1]", "as many"),
        (table(size=doubles(1.0, missing=(1,))), "rows.columns[0].missing_rows", "0 to 0"),
        (table(kind=doubles(1.0)), "rows.columns[0]", "labels"),
        (table(ok=strings("maybe")), "rows.columns[0]", "truth values"),
        (table(note=doubles(1.0)), "rows.columns[0]", "texts"),
        (table(when=strings("yesterday")), "rows.columns[0].strings.values[0]", "2026-01-31"),
        (table(when=doubles(1.0)), "rows.columns[0]", "ISO 8601"),
        (table(face=blobs(b"no image")), "rows.columns[0].blobs.values[0]", "image"),
        (table(face=blobs(png(4, 4))), "rows.columns[0].blobs.values[0]", "3 x 2"),
        (table(place=blobs(b"1234")), "rows.columns[0].blobs.values[0]", "2 numbers"),
        (table(place=strings("[1, [2]]")), "rows.columns[0].strings.values[0]", "2 numbers"),
        (table(place=doubles(1.0)), "rows.columns[0]", "vectors"),
        (table(place=strings(f"[1, {10**400}]")), "rows.columns[0].strings.values[0]", "2 numbers"),
    ],
)
def test_what_does_not_fit_is_named(rows: table_pb2.Table, path: str, hint: str) -> None:
    """Whoever sent rows learns which value is wrong and what it should be."""
    with pytest.raises(InvalidFieldError) as raised:
        raw_rows(rows, SCHEMA, WANTED, "rows")
    (violation,) = raised.value.violations
    assert violation.field == path
    assert hint in violation.description


VALUES = st.one_of(
    st.builds(lambda values: doubles(*values), st.lists(st.floats(), max_size=3)),
    st.builds(lambda values: strings(*values), st.lists(st.text("a1-é", max_size=5), max_size=3)),
    st.builds(lambda values: blobs(*values), st.lists(st.binary(max_size=9), max_size=3)),
    st.builds(
        lambda values: table_pb2.Column(integers=table_pb2.Int64Values(values=values)),
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    ),
    st.just(table_pb2.Column()),
)


@given(
    st.dictionaries(st.sampled_from([*WANTED, "target", "other", ""]), VALUES, max_size=4),
    st.lists(st.integers(-2, 3), max_size=2),
)
def test_no_message_breaks_the_reader(
    columns: dict[str, table_pb2.Column], missing: list[int]
) -> None:
    """Whatever is sent, either rows of all columns come of it or an error that names a field."""
    rows = table(**columns)
    for column in rows.columns:
        column.missing_rows.extend(missing)
    try:
        raw = raw_rows(rows, SCHEMA, WANTED, "rows")
    except InvalidFieldError as error:
        assert error.violations[0].field.startswith("rows")
    else:
        assert set(raw.columns) == set(WANTED)
        assert {len(values) for values in raw.columns.values()} == {raw.count}

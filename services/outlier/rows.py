"""Rows of a message as raw rows of a data set's columns."""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from PIL import Image

from aimass.type.v1 import table_pb2
from common.data.pictures import FORMATS, to_bytes
from common.data.rows import RawRows, Values
from common.data.schema import LABEL_TYPES, Column, ColumnType, Schema
from common.errors import InvalidFieldError
from common.wording import quoted
from services.outlier.domain.preparation.columns import MISSING_TIME

MOST_ROWS = 10_000
MOST_BYTES = 64 * 1024 * 1024
_TRUTHS = {"true": "true", "1": "true", "false": "false", "0": "false"}
_MICROSECOND = 1_000_000
_FORMS = {
    "blobs": "send each as 32-bit floats, least byte first",
    "strings": "send each as a list in JSON, for example [0.5, 1]",
}

Cells = Sequence[object]


def raw_rows(table: table_pb2.Table, schema: Schema, wanted: Sequence[str], field: str) -> RawRows:
    """Returns the rows of a message as a detector takes them.

    Columns of the schema that are not wanted are ignored; wanted ones that are not there count as
    missing.

    Args:
        table: The rows.
        schema: Of the data set that the detector learned from.
        wanted: Names of the columns it looks at.
        field: Path of the table in the request.

    Raises:
        InvalidFieldError: Names the column, and the cure.
    """
    count = check_table(table, field)
    places = {column.name: place for place, column in enumerate(table.columns)}
    known = {column.name for column in schema.columns}
    for name, place in places.items():
        if name not in known:
            raise InvalidFieldError(
                f"{field}.columns[{place}].name",
                f"`{name}` is no column of the data set that the detector learned from, which has "
                f"{_some(known)}",
                reason="UNKNOWN_COLUMN",
            )
    if not places.keys() & set(wanted):
        raise InvalidFieldError(
            f"{field}.columns", f"none is looked at; the detector looks at {_some(wanted)}"
        )
    _check_size(count, [schema.column(name) for name in wanted], field)
    columns: dict[str, Values] = {}
    labels: dict[str, Sequence[str]] = {}
    for name in wanted:
        column = schema.column(name)
        if name in places:
            place = places[name]
            path = f"{field}.columns[{place}]"
            values = _values(table.columns[place], column, path)
        else:
            values = _missing(column, count)
        if column.type in LABEL_TYPES:
            columns[name], labels[name] = coded(values)
        else:
            columns[name] = values
    return RawRows(columns, labels)


def check_table(table: table_pb2.Table, field: str) -> int:
    """Returns the number of rows.

    Raises:
        InvalidFieldError: There are none or too many, or the columns do not fit together.
    """
    if not table.columns:
        raise InvalidFieldError(f"{field}.columns", "must have at least one column")
    seen: set[str] = set()
    counts = [len(_cells(column)) for column in table.columns]
    for place, column in enumerate(table.columns):
        path = f"{field}.columns[{place}]"
        if not column.name or column.name in seen:
            raise InvalidFieldError(
                f"{path}.name", f"must be given, once for each column; it is {quoted(column.name)}"
            )
        seen.add(column.name)
        if counts[place] != counts[0]:
            raise InvalidFieldError(
                path,
                f"`{column.name}` has {counts[place]} values, but `{table.columns[0].name}` has "
                f"{counts[0]}; all columns must have as many",
            )
        wrong = [row for row in column.missing_rows if not 0 <= row < counts[place]]
        if wrong:
            raise InvalidFieldError(
                f"{path}.missing_rows",
                f"must be row numbers, 0 to {counts[place] - 1}, not {wrong[0]}",
            )
    if not 1 <= counts[0] <= MOST_ROWS:
        raise InvalidFieldError(field, f"must have 1 to {MOST_ROWS:,} rows; it has {counts[0]:,}")
    return counts[0]


def _check_size(count: int, columns: Sequence[Column], field: str) -> None:
    """Checks that rows fit: columns that are missing, and images, are not in the message's size."""
    row_bytes = sum(math.prod(each.shape) * _bytes(each) for each in columns)
    most = max(1, MOST_BYTES // row_bytes)
    if count > most:
        raise InvalidFieldError(
            field,
            f"has {count:,} rows of {row_bytes:,} bytes with all columns; send at most {most:,} "
            "at once",
        )


def _bytes(column: Column) -> int:
    return 1 if column.type is ColumnType.IMAGE else 8


def numbers(column: table_pb2.Column, field: str) -> npt.NDArray[np.float64]:
    """Returns a column of numbers or truth values, shape (rows,); NaN is missing.

    Raises:
        InvalidFieldError: It is of another type.
    """
    kind = column.WhichOneof("values")
    if kind not in ("doubles", "integers", "booleans"):
        raise _wrong_type(column, field, "numbers (`doubles`, `integers` or `booleans`)")
    found = np.array(_cells(column), np.float64)
    found[list(column.missing_rows)] = np.nan
    return found


def coded(values: Values) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Returns codes and what they stand for, of labels with None for missing."""
    places: dict[str, int] = {}
    codes = [-1 if each is None else places.setdefault(each, len(places)) for each in values]
    return np.array(codes, np.int32), tuple(places)


def _cells(column: table_pb2.Column) -> Cells:
    kind = column.WhichOneof("values")
    return getattr(column, kind).values if kind else ()


def _values(column: table_pb2.Column, expected: Column, field: str) -> Values:
    read = _READERS[expected.type]
    return read(column, expected, field)


def _labels(column: table_pb2.Column, expected: Column, field: str) -> Values:
    kind = column.WhichOneof("values")
    if kind not in ("strings", "integers", "booleans"):
        raise _wrong_type(column, field, "labels (`strings`, `integers` or `booleans`)")
    found = np.array([str(each) for each in _cells(column)], object)
    if expected.type is ColumnType.BOOLEAN:
        found[list(column.missing_rows)] = "false"  # whatever stands in the place of no value
        found = np.array([_truth(each, column, field) for each in found], object)
    return _without_missing(found, column)


def _truth(text: str, column: table_pb2.Column, field: str) -> str:
    found = _TRUTHS.get(text.lower())
    if found is None:
        raise InvalidFieldError(
            field, f"`{column.name}` holds truth values, not `{text[:50]}`; send `booleans`"
        )
    return found


def _texts(column: table_pb2.Column, expected: Column, field: str) -> Values:
    if column.WhichOneof("values") != "strings":
        raise _wrong_type(column, field, "texts (`strings`)")
    return _without_missing(np.array([*_cells(column), None], object)[:-1], column)


def _without_missing(values: Values, column: table_pb2.Column) -> Values:
    values[list(column.missing_rows)] = np.array(None, object)
    return values


def _times(column: table_pb2.Column, expected: Column, field: str) -> Values:
    kind = column.WhichOneof("values")
    missing = set(column.missing_rows)
    if kind == "integers":
        found = np.array(_cells(column), np.int64)
        found[list(missing)] = MISSING_TIME
        return found
    if kind != "strings":
        raise _wrong_type(column, field, "times (`strings` in ISO 8601, or `integers` of µs)")
    texts = [str(each) for each in _cells(column)]
    moments = [
        MISSING_TIME if row in missing else _moment(text, row, column, field)
        for row, text in enumerate(texts)
    ]
    return np.array(moments, np.int64)


def _moment(text: str, row: int, column: table_pb2.Column, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidFieldError(
            f"{field}.strings.values[{row}]",
            f"`{column.name}` holds times as 2026-01-31T12:00:00Z, not `{text[:50]}`",
        ) from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECOND + since.microseconds


def _images(column: table_pb2.Column, expected: Column, field: str) -> Values:
    if column.WhichOneof("values") != "blobs" or column.missing_rows:
        raise _wrong_type(column, field, "encoded images (`blobs`), none missing")
    cells = column.blobs.values
    return np.stack([_image(cell, row, expected, field) for row, cell in enumerate(cells)])


def _image(content: bytes, row: int, expected: Column, field: str) -> Values:
    channels, height, width = expected.shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            size = f"{image.width} x {image.height}"
            pixels = to_bytes(image, channels) if image.size == (width, height) else None
    except Exception:  # whatever a decoder raises, in words for programmers
        size, pixels = f"{len(content):,} bytes that cannot be read as one", None
    if pixels is None:
        wanted = f"an image of {width} x {height} pixels ({', '.join(FORMATS)})"
        raise InvalidFieldError(f"{field}.blobs.values[{row}]", f"must be {wanted}; it is {size}")
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _vectors(column: table_pb2.Column, expected: Column, field: str) -> Values:
    kind = column.WhichOneof("values")
    if kind not in ("blobs", "strings"):
        raise _wrong_type(column, field, "vectors (`blobs` of 32-bit floats, or JSON `strings`)")
    missing = set(column.missing_rows)
    length = expected.shape[0]
    rows = [
        np.full(length, np.nan) if row in missing else _vector(cell, length)
        for row, cell in enumerate(_cells(column))
    ]
    for row, found in enumerate(rows):
        if found is None or found.shape != (length,):
            raise InvalidFieldError(
                f"{field}.{kind}.values[{row}]",
                f"must be a vector of {length} numbers; {_FORMS[kind]}",
            )
    return np.array(rows, np.float64)


def _vector(cell: object, length: int) -> npt.NDArray[np.float64] | None:
    try:
        if isinstance(cell, bytes):
            return np.frombuffer(cell, "<f4").astype(np.float64)
        return np.array(json.loads(str(cell)), np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _numbers(column: table_pb2.Column, expected: Column, field: str) -> Values:
    return numbers(column, field)


def _missing(column: Column, count: int) -> Values:
    if column.type is ColumnType.TIMESTAMP:
        return np.full(count, MISSING_TIME, np.int64)
    if column.type in LABEL_TYPES or column.type is ColumnType.TEXT:
        return np.full(count, None, object)
    return np.broadcast_to(np.float64(np.nan), (count, *column.shape))


def _wrong_type(column: table_pb2.Column, field: str, wanted: str) -> InvalidFieldError:
    kind = column.WhichOneof("values") or "nothing"
    return InvalidFieldError(field, f"`{column.name}` takes {wanted}, not `{kind}`")


def _some(names: Sequence[str] | set[str]) -> str:
    ordered = sorted(names) if isinstance(names, set) else list(names)
    more = f" and {len(ordered) - 20} more" if len(ordered) > 20 else ""
    return f"{', '.join(ordered[:20])}{more}"


_Read = Callable[[table_pb2.Column, Column, str], Values]

_READERS: Mapping[ColumnType, _Read] = {
    ColumnType.NUMERIC: _numbers,
    ColumnType.CATEGORICAL: _labels,
    ColumnType.BOOLEAN: _labels,
    ColumnType.TEXT: _texts,
    ColumnType.TIMESTAMP: _times,
    ColumnType.IMAGE: _images,
    ColumnType.EMBEDDING: _vectors,
}

"""Arrow columns of any type as what the importer reads."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import ColumnType
from services.catalog.domain import parsing
from services.catalog.domain.fields import bad_file, listed
from services.catalog.domain.sources.base import MAX_COLUMNS, RawColumn, RawKind, without_nan

MAX_WIDTH = 65_536
_PARSED = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP)

Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class ArrowColumn:
    """A column and how its values are converted."""

    raw: RawColumn
    convert: Convert


def plan_columns(
    schema: pa.Schema, widths: Mapping[str, int], types: Mapping[str, ColumnType]
) -> list[ArrowColumn]:
    """Returns what the columns of a file are.

    Args:
        schema: Of the file.
        widths: Lengths of the lists in columns of lists of numbers; without one they are text.
        types: Types that were asked for, by name; text is parsed for some of them.

    Raises:
        InvalidFieldError: Names the column that cannot be imported.
    """
    doubled = [name for name, count in Counter(schema.names).items() if count > 1]
    if doubled:
        raise bad_file(f"the columns {listed(doubled)} are there more than once; rename them")
    if not 0 < len(schema) <= MAX_COLUMNS:
        raise bad_file(f"the file has {len(schema)} columns; 1 to {MAX_COLUMNS} can be imported")
    if not all(name.strip() for name in schema.names):
        raise bad_file("a column has no name; give it one")
    return [_plan(field, widths.get(field.name), types.get(field.name)) for field in schema]


def convert_batch(batch: pa.RecordBatch, columns: Sequence[ArrowColumn]) -> pa.RecordBatch:
    """Returns the columns of a batch as they are to be read."""
    arrays = [column.convert(batch.column(column.raw.name)) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[column.raw.name for column in columns])


def is_number_list(kind: pa.DataType) -> bool:
    """Returns whether values are lists of numbers."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool((lists or pa.types.is_fixed_size_list(kind)) and _is_number(kind.value_type))


def _plan(field: pa.Field, width: int | None, wanted: ColumnType | None) -> ArrowColumn:
    name, kind = field.name, field.type
    if pa.types.is_dictionary(kind):
        inner = _plan(field.with_type(kind.value_type), width, wanted)
        return ArrowColumn(inner.raw, lambda array: inner.convert(array.dictionary_decode()))
    may_be_vectors = is_number_list(kind) and wanted is not ColumnType.TEXT
    if may_be_vectors and width is not None and 0 < width <= MAX_WIDTH:
        return _plan_vectors(name, kind, width)
    if _is_text(kind):
        parsed = RawKind.UNPARSED if wanted in _PARSED else RawKind.STRING
        return ArrowColumn(RawColumn(name, parsed), lambda array: array.cast(pa.string()))
    if pa.types.is_boolean(kind):
        return ArrowColumn(RawColumn(name, RawKind.BOOLEAN), lambda array: array)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ArrowColumn(RawColumn(name, RawKind.TIMESTAMP), lambda array: _as_times(name, array))
    if _is_number(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return ArrowColumn(RawColumn(name, RawKind.NUMBER), _as_numbers)
    if pa.types.is_nested(kind) or pa.types.is_time(kind):
        return ArrowColumn(RawColumn(name, RawKind.STRING), _as_json)
    raise bad_file(
        f"column `{name}` has the type {kind}, which cannot be imported; use numbers, booleans, "
        "texts, times or lists of numbers, or leave it out"
    )


def _plan_vectors(name: str, kind: pa.DataType, width: int) -> ArrowColumn:
    single = pa.float32() if _fits_single(kind.value_type) else pa.float64()

    def convert(array: pa.Array) -> pa.Array:
        lengths = pc.list_value_length(array)
        wrong = pc.drop_null(pc.not_equal(lengths, width))
        if pc.any(wrong).as_py():
            raise bad_file(
                f"column `{name}` holds lists of {width} numbers and of other lengths; give all "
                "the same length, or ask for the type text",
                "RAGGED_FILE",
            )
        return array.cast(pa.list_(single, width), safe=False)

    return ArrowColumn(RawColumn(name, RawKind.EMBEDDING, (width,)), convert)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    views = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(pa.types.is_string(kind) or views)


def _fits_single(kind: pa.DataType) -> bool:
    small = pa.types.is_integer(kind) and kind.bit_width <= 16
    return bool(small or pa.types.is_float16(kind) or pa.types.is_float32(kind))


def _as_times(name: str, array: pa.Array) -> pa.Array:
    if pa.types.is_date(array.type):
        # Whole units first: from days to microseconds overflows unchecked.
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    kind = array.type
    with suppress(pa.ArrowInvalid):
        # Nanoseconds are cut; a zone only says how the same point in time is shown.
        times = array.cast(pa.timestamp("us", kind.tz), safe=kind.unit != "ns")
        if parsing.are_dates(times):
            return times.cast(pa.timestamp("us"))
    raise bad_file(
        f"column `{name}` holds a time outside the years 1 to 9999; leave it empty there",
        "BAD_TIME",
    )


def _as_numbers(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal(array.type) or pa.types.is_null(array.type):
        return array.cast(pa.float64())
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    return without_nan(array) if pa.types.is_floating(array.type) else array


def _as_json(array: pa.Array) -> pa.Array:
    texts = [
        None if value is None else json.dumps(value, ensure_ascii=False, default=str)
        for value in array.to_pylist()
    ]
    return pa.array(texts, pa.string())

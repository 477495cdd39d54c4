"""Values, and the codes that detectors see, as people read them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.data.rows import RawRows, Values
from services.outlier.domain.preparation.columns import (
    MISSING_TIME,
    LabelColumn,
    NumberColumn,
    TimeColumn,
    VectorColumn,
)
from services.outlier.domain.preparation.preparation import Prepared
from services.outlier.domain.preparation.texts import TextColumn

MISSING = "missing"
_LONGEST = 80
_MILLION = 1e6
_LARGEST_WHOLE = 1e15  # whole numbers up to this are written out


def describe(column: Prepared, raw: RawRows) -> tuple[str, ...]:
    """Returns the values of a column in raw rows as people read them."""
    return _described(column, raw, slice(None))


def describe_value(column: Prepared, raw: RawRows, row: int) -> str:
    """Returns the value of a column in one of the raw rows as people read it."""
    return _described(column, raw, slice(row, row + 1))[0]


def _described(column: Prepared, raw: RawRows, rows: slice) -> tuple[str, ...]:
    values, labels = raw.columns[column.name], raw.labels.get(column.name, ())
    return tuple(_DESCRIBED[type(column)](values[rows], labels))


def describe_code(column: Prepared, code: int) -> str:
    """Returns what a code of a column says: `color=red`, or `3 <= length < 5` of bins."""
    if code == 0:
        return f"{column.name} missing or new"
    if isinstance(column, LabelColumn):
        return _described_label(column, code)
    if isinstance(column, NumberColumn):
        return _described_bin(column.name, [_number(edge) for edge in column.edges], code)
    if isinstance(column, TimeColumn):
        return _described_bin(column.name, [_time(int(edge)) for edge in column.edges], code)
    raise ValueError(f"{column.name} has no codes")


def _described_label(column: LabelColumn, code: int) -> str:
    if code > column.coded:
        return f"{column.name}=one of its rare values"
    return f"{column.name}={_shortened(column.known[code - 1])}"


def _described_bin(name: str, edges: Sequence[str], code: int) -> str:
    """Returns what a bin holds; the first is code 1."""
    if not edges:
        return f"{name} present"
    if code == 1:
        return f"{name} < {edges[0]}"
    if code > len(edges):
        return f"{name} >= {edges[-1]}"
    return f"{edges[code - 2]} <= {name} < {edges[code - 1]}"


def _numbers(values: Values, labels: Sequence[str]) -> list[str]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> str:
    if value != value:
        return MISSING
    if abs(value) < _LARGEST_WHOLE and value == int(value):
        return str(int(value))
    if _MILLION <= abs(value) < _LARGEST_WHOLE:
        return f"{value:.1f}"
    return f"{value:.6g}"


def _labels(values: Values, labels: Sequence[str]) -> list[str]:
    return [MISSING if code < 0 else _shortened(labels[code]) for code in values.tolist()]


def _times(values: Values, labels: Sequence[str]) -> list[str]:
    return [_time(value) for value in values.tolist()]


def _time(microseconds: int) -> str:
    if microseconds == MISSING_TIME:
        return MISSING
    text = str(np.datetime64(microseconds, "us")).removesuffix(".000000")
    return f"{text}Z"


def _texts(values: Values, labels: Sequence[str]) -> list[str]:
    return [MISSING if text is None else _shortened(text) for text in values.tolist()]


def _shortened(text: str) -> str:
    """Returns a text in one line, cut where it is long."""
    line = " ".join(text[: 4 * _LONGEST].split())
    if len(line) > _LONGEST or len(text) > 4 * _LONGEST:
        return f"{line[: _LONGEST - 1]}…"
    return line or '""'


def _vectors(values: Values, labels: Sequence[str]) -> list[str]:
    text = _shape(values.shape[1:])
    flat = values.reshape(len(values), -1).astype(np.float64)
    return [MISSING if np.isnan(each).any() else text for each in flat]


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"embedding of {int(np.prod(shape))} numbers"
    return f"image {shape[-1]}x{shape[-2]}"


_DESCRIBED: Mapping[type[Prepared], Callable[[Values, Sequence[str]], list[str]]] = {
    NumberColumn: _numbers,
    LabelColumn: _labels,
    TimeColumn: _times,
    VectorColumn: _vectors,
    TextColumn: _texts,
}

"""ARFF, the attribute-relation files of Weka: dense and sparse rows."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.base import (
    MAX_COLUMNS,
    Found,
    RawColumn,
    RawKind,
    batch_rows,
    line_bytes,
    numbered_lines,
)

_ATTRIBUTE = re.compile(
    r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s{]+)\s*(.+)""", re.IGNORECASE
)
# A value between commas, in quotes or bare; possessive, so that nothing backtracks in it.
_VALUE = re.compile(r"""\s*+('(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[^,'"]*+)\s*+(,|$)""")
_INDEX = re.compile(r"\s*+([^\s,]*+)")
_MAX_DIGITS = 9
_ESCAPE = re.compile(r"\\(.)")
_NUMERIC = ("numeric", "real", "integer")
_DEFAULT_DATE = "yyyy-MM-dd'T'HH:mm:ss"
_DATE_PARTS = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S",
    "SSS": "%f", "MMM": "%b", "T": "T",
}  # fmt: skip
_DATE_TOKEN = re.compile(r"'([^']*)'|([A-Za-z])\2*|.")

Value = str | float | datetime | None
Cell = tuple[str, bool]


@dataclass(frozen=True)
class _Attribute:
    name: str
    kind: RawKind
    labels: tuple[str, ...] = ()
    date_format: str = ""

    @property
    def zero(self) -> Value:
        """What a sparse row means that does not mention it."""
        if self.kind is RawKind.NUMBER:
            return 0.0
        return self.labels[0] if self.labels else None

    def read(self, text: str, is_quoted: bool) -> Value:
        """Returns a value. Raises `ValueError` where it is none of the attribute's."""
        if text == "?" and not is_quoted:
            return None
        if self.kind is RawKind.NUMBER:
            number = float(text)
            return None if math.isnan(number) else number
        if self.date_format:
            return datetime.strptime(text, self.date_format)
        if self.labels and text not in self.labels:
            raise ValueError(text)
        return text


class ArffSource:
    """Rows of an ARFF file. Numbers, labels, texts and dates are what the file declares."""

    found = Found()

    def __init__(self, path: Path) -> None:
        """Reads the declarations.

        Args:
            path: The file, UTF-8.

        Raises:
            InvalidFieldError: Names the line that is wrong.
        """
        self._path = path
        self._attributes, self._first_line = self._read_header()
        self.columns = [RawColumn(each.name, each.kind) for each in self._attributes]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        positions = {each.name: number for number, each in enumerate(self._attributes)}
        chosen = [positions[name] for name in names]
        row_bytes = 64 * len(self._attributes) + line_bytes(self._path)
        step = batch_rows(len(self._attributes), row_bytes)
        rows: list[list[Value]] = []
        for row in self._rows():
            rows.append(row)
            if len(rows) == step:
                yield self._batch(rows, chosen)
                rows = []
        if rows:
            yield self._batch(rows, chosen)

    def _batch(self, rows: list[list[Value]], chosen: Sequence[int]) -> pa.RecordBatch:
        kinds = {
            RawKind.NUMBER: pa.float64(),
            RawKind.STRING: pa.string(),
            RawKind.TIMESTAMP: pa.timestamp("us"),
        }
        arrays = [
            pa.array([row[place] for row in rows], kinds[self._attributes[place].kind])
            for place in chosen
        ]
        return pa.RecordBatch.from_arrays(
            arrays, [self._attributes[place].name for place in chosen]
        )

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yields the lines that say something, with their numbers."""
        try:
            with self._path.open(encoding="utf-8-sig", newline=None) as file:
                for number, line in numbered_lines(file):
                    text = line.strip()
                    if text and not text.startswith("%"):
                        yield number, text
        except UnicodeDecodeError:
            raise bad_file(
                "the file is not UTF-8 text; save it as UTF-8", "UNREADABLE_FILE"
            ) from None

    def _read_header(self) -> tuple[list[_Attribute], int]:
        attributes: list[_Attribute] = []
        for number, line in self._lines():
            keyword = line.split(None, 1)[0].lower()
            if keyword == "@attribute":
                attributes.append(_declared(line, number))
            elif keyword == "@data":
                _check_names(attributes)
                return attributes, number
            elif keyword != "@relation":
                raise _bad_line(number, "is no declaration; before @data come @attribute lines")
        raise bad_file("the file has no @data line; write one before the rows", "EMPTY_FILE")

    def _rows(self) -> Iterator[list[Value]]:
        for number, line in self._lines():
            if number > self._first_line:
                sparse = line.startswith("{")
                yield self._sparse(line, number) if sparse else self._dense(line, number)

    def _dense(self, line: str, number: int) -> list[Value]:
        cells = _split(line, number)
        if len(cells) != len(self._attributes):
            raise bad_file(
                f"line {number} has {len(cells)} values where {len(self._attributes)} attributes "
                "are declared; give every line the same number of values",
                "RAGGED_FILE",
            )
        pairs = zip(self._attributes, cells, strict=True)
        return [_read(each, cell, number) for each, cell in pairs]

    def _sparse(self, line: str, number: int) -> list[Value]:
        if not line.endswith("}"):
            raise _bad_line(number, "has a brace that does not end; close it by }")
        row = [each.zero for each in self._attributes]
        body = line[1:-1].strip()
        place, more = 0, bool(body)
        while more:
            index, place = _index_at(body, place)
            if not index.isdecimal() or len(index) > _MAX_DIGITS or int(index) >= len(row):
                raise _bad_line(number, f"names the attribute `{index[:20]}`, which does not exist")
            cell, place, more = _value_at(body, place, number)
            row[int(index)] = _read(self._attributes[int(index)], cell, number)
        return row


def _declared(line: str, number: int) -> _Attribute:
    found = _ATTRIBUTE.fullmatch(line)
    if found is None:
        raise _bad_line(number, "is no attribute; write @attribute name type")
    name, kind = _unquoted(found.group(1))[0], found.group(2).strip()
    if kind.startswith("{") and kind.endswith("}"):
        labels = tuple(cell for cell, _ in _split(kind[1:-1], number))
        return _Attribute(name, RawKind.STRING, labels)
    word, _, rest = kind.partition(" ")
    if word.lower() in _NUMERIC:
        return _Attribute(name, RawKind.NUMBER)
    if word.lower() == "string":
        return _Attribute(name, RawKind.STRING)
    if word.lower() == "date":
        pattern = _unquoted(rest.strip())[0] or _DEFAULT_DATE
        return _Attribute(name, RawKind.TIMESTAMP, date_format=_strptime(pattern, number))
    raise _bad_line(number, f"has the type `{kind[:40]}`; use numeric, string, date or {{a, b}}")


def _strptime(pattern: str, number: int) -> str:
    """Returns Python's form of a date pattern of Java."""
    parts = []
    for token in _DATE_TOKEN.finditer(pattern):
        text = token.group(0)
        if token.group(1) is not None:
            parts.append(token.group(1).replace("%", "%%"))
        elif text[0].isalpha():
            if text not in _DATE_PARTS:
                known = ", ".join(_DATE_PARTS)
                raise _bad_line(
                    number, f"has the date pattern `{pattern[:40]}`; use letters of {known}"
                )
            parts.append(_DATE_PARTS[text])
        else:
            parts.append(text.replace("%", "%%"))
    return "".join(parts)


def _split(text: str, number: int) -> list[Cell]:
    """Returns the values between commas, and whether each is in quotes."""
    cells: list[Cell] = []
    place, more = 0, True
    while more:
        cell, place, more = _value_at(text, place, number)
        cells.append(cell)
    return cells


def _value_at(text: str, place: int, number: int) -> tuple[Cell, int, bool]:
    """Returns the value at a place, the place behind it, and whether another one follows."""
    found = _VALUE.match(text, place)
    if found is None:
        raise _bad_line(number, "has a quote that does not fit; check its quotes")
    return _unquoted(found.group(1).strip()), found.end(), found.group(2) == ","


def _index_at(text: str, place: int) -> tuple[str, int]:
    """Returns the index of a sparse value at a place, and the place behind it."""
    found = _INDEX.match(text, place)
    assert found is not None, "it matches nothing, too"
    return found.group(1), found.end()


def _unquoted(text: str) -> Cell:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _ESCAPE.sub(r"\1", text[1:-1]), True
    return text, False


def _read(attribute: _Attribute, cell: Cell, number: int) -> Value:
    try:
        return attribute.read(*cell)
    except ValueError:
        raise _bad_line(
            number, f"has `{cell[0][:40]}` for `{attribute.name}`, which is declared otherwise"
        ) from None


def _check_names(attributes: Sequence[_Attribute]) -> None:
    names = [each.name for each in attributes]
    if not names or not all(names):
        raise bad_file("the file declares no attributes, or one without a name")
    if len(set(names)) < len(names):
        raise bad_file("two attributes have the same name; names must be unique")
    if len(names) > MAX_COLUMNS:
        raise bad_file(f"the file has {len(names)} attributes; at most {MAX_COLUMNS} are allowed")


def _bad_line(number: int, problem: str) -> Exception:
    return bad_file(f"line {number} {problem}", "UNREADABLE_FILE")

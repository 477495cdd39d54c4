"""How a CSV file is written, found out from its first lines."""

import contextlib
import csv
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InvalidFieldError
from services.catalog.domain.fields import bad_file, listed
from services.catalog.domain.sources.base import MAX_COLUMNS, MAX_LINE_BYTES
from services.catalog.domain.spec import CsvOptions

_SAMPLE_LINES = 100
_SAMPLE_ROWS = 2_000
_SAMPLE_BYTES = 4 * 1024 * 1024
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

Row = list[str]

# A cell may be as long as a line; the module's own limit is 128 KiB.
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: Between fields.
        quote: Around fields that hold a delimiter.
        decimal: Before decimals.
        has_header: Whether the first line names the columns.
        names: Of the columns.
        missing: Words for a missing value, besides those that are always known.
    """

    delimiter: str
    quote: str
    decimal: str
    has_header: bool
    names: tuple[str, ...]
    missing: tuple[str, ...] = ()


def find_dialect(path: Path, options: CsvOptions) -> Dialect:
    """Reads the first lines of a UTF-8 file.

    Args:
        path: The file.
        options: What is known already.

    Raises:
        InvalidFieldError: The header is missing or wrong.
    """
    quote = options.quote or '"'
    delimiter = options.delimiter or _find_delimiter(path, quote)
    rows = _first_rows(path, delimiter, quote)
    first = [cell.strip() for cell in rows[0]] if rows else []
    _check_first(first)
    has_header = options.header
    if has_header is None:
        has_header = not _is_data(first, rows[1:])
    names = first if has_header else [f"column{number}" for number in range(len(first))]
    if has_header:
        _check_names(names)
    decimal = options.decimal_separator or _find_decimal(rows[has_header:], delimiter)
    return Dialect(
        delimiter, quote, decimal, has_header, tuple(names), tuple(options.missing_values)
    )


def sample_columns(path: Path, dialect: Dialect) -> list[tuple[str, ...]]:
    """Returns the cells of the first rows by column, as far as they have as many as the header."""
    width = len(dialect.names)
    rows: list[Row] = []
    with (
        contextlib.suppress(csv.Error),
        path.open(encoding="utf-8-sig", errors="replace", newline="") as file,
    ):
        lines = _bounded(file, _SAMPLE_BYTES)
        reader = csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote)
        for row in itertools.islice(reader, int(dialect.has_header), _SAMPLE_ROWS):
            if len(row) == width:
                rows.append(row)
    return list(zip(*rows, strict=True))


def _find_delimiter(path: Path, quote: str) -> str:
    """Returns the delimiter by which most lines have as many fields as the first; else a comma."""
    best, found = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        try:
            rows = _first_rows(path, delimiter, quote)
        except InvalidFieldError:
            continue  # the first line has quotes that this delimiter does not fit
        width = len(rows[0]) if rows else 0
        if width > 1:
            same = sum(len(row) == width for row in rows) / len(rows)
            if (same, width) > best:
                best, found = (same, width), delimiter
    return found


def _find_decimal(rows: Sequence[Row], delimiter: str) -> str:
    """Returns a comma where a column is written with decimal commas throughout."""
    if delimiter == ",":
        return "."
    for column in itertools.zip_longest(*rows, fillvalue=""):
        cells = [cell.strip() for cell in column if cell.strip()]
        commas = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
        if commas and all(_DECIMAL_COMMA.fullmatch(cell) or cell.isdecimal() for cell in cells):
            return ","
    return "."


def _is_data(first: Row, rows: Sequence[Row]) -> bool:
    """Returns whether the first line is a row like the others.

    It is where its numbers stand in the same columns as theirs. Numbers in a row (0, 1, 2, ...) and
    whole numbers beside words (`country, 2020, 2021`) are names all the same.
    """
    numbers = [_number(cell) for cell in first]
    present = [number for number in numbers if not math.isnan(number)]
    if not present or not rows:
        return False
    steps = {after - before for before, after in itertools.pairwise(present)}
    if steps == {1.0}:
        return False
    words = len(first) - len(present)
    if words and all(number.is_integer() for number in present):
        return False
    shapes = ([math.isnan(_number(cell)) for cell in row] for row in rows if len(row) == len(first))
    shape = [math.isnan(number) for number in numbers]
    return next(shapes, None) == shape


def _number(cell: str) -> float:
    try:
        return float(cell.strip().replace(",", "."))
    except ValueError:
        return math.nan


def _check_first(first: Row) -> None:
    if any(cell.encode(errors="ignore").decode() != cell for cell in first):
        raise bad_file(
            "line 1 is not UTF-8 text; save the file as UTF-8, or give its encoding",
            "UNREADABLE_FILE",
        )
    if any("\0" in cell for cell in first):
        raise bad_file(
            "line 1 is not UTF-8 text; save the file as UTF-8, or give its encoding",
            "UNREADABLE_FILE",
        )
    if not any(first):
        raise bad_file("line 1 is empty; begin with a line of column names", "EMPTY_FILE")
    if len(first) > MAX_COLUMNS:
        raise bad_file(f"line 1 has {len(first)} columns; at most {MAX_COLUMNS} can be imported")


def _check_names(names: Sequence[str]) -> None:
    if not all(names):
        raise bad_file(f"column {list(names).index('') + 1} has no name in line 1; give it one")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise bad_file(f"line 1 names {listed(doubled)} more than once; names must be unique")


def _first_rows(path: Path, delimiter: str, quote: str) -> list[Row]:
    try:
        # Wrong bytes further down are found, with their line, when the rows are read.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(_bounded(file), delimiter=delimiter, quotechar=quote, strict=True)
            rows = [next(reader, [])]
            try:
                rows += itertools.islice(reader, _SAMPLE_LINES)
            except csv.Error:
                return rows  # a fault further down is told with its line when the rows are read
            return [rows[0], *(row for row in rows[1:] if row)]
    except csv.Error as error:
        raise bad_file(
            f"line 1 is not valid CSV ({error}); save the file as CSV again", "UNREADABLE_FILE"
        ) from None


def _bounded(lines: Iterator[str], limit: int = MAX_LINE_BYTES) -> Iterator[str]:
    """Passes lines on up to a total length."""
    total = 0
    for number, line in enumerate(lines):
        total += len(line)
        if total > limit:
            if number:
                return
            raise csv.Error("it does not end; check its quotes")
        yield line

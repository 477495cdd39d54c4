"""CSV files, read by DuckDB in strict mode: a row that does not fit is an error, not a repair."""

import csv
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import MAX_CATEGORIES, ColumnType
from common.errors import InvalidFieldError
from services.catalog.domain import parsing
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.base import (
    MAX_LINE_BYTES,
    Found,
    MisreadError,
    RawColumn,
    RawKind,
    batch_rows,
    line_bytes,
    without_nan,
)
from services.catalog.domain.sources.dialect import Dialect, find_dialect, sample_columns
from services.catalog.domain.sources.encoding import UTF8, as_utf8, find_encoding
from services.catalog.domain.sources.tables import FAULT_OF_FILE, connected, quoted, sql_text
from services.catalog.domain.sources.unpack import unpacked
from services.catalog.domain.spec import ImportSpec

_MAX_RETRIES = 3
# DuckDB's own sentence, on a line of its own: it quotes the line of the file before it.
_NOT_UTF8 = re.compile(r"^Invalid unicode \(.*\) detected", re.MULTILINE)
_CONVERSION = re.compile(r"converting column \"c(\d+)\"|CAST_FAULT c(\d+)")
# DuckDB holds several; without this each has sixteen times the longest line.
_BUFFER_BYTES = 2 * MAX_LINE_BYTES
_TYPES = {RawKind.NUMBER: "DOUBLE", RawKind.TIMESTAMP: "TIMESTAMP"}
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


class CsvSource:
    """A CSV file.

    Columns whose first rows are numbers are read as numbers; all others come as text, and what that
    stands for is decided by the whole column. Where a later row is no number, the column changes to
    text and the file is read anew; so it is where a later row shows another encoding.
    """

    def __init__(self, path: Path, scratch: Path, spec: ImportSpec, max_bytes: int) -> None:
        """Reads the header and a sample of the rows.

        Args:
            path: The file.
            scratch: Directory for the unpacked file and what does not fit into memory.
            spec: How it is to be read, and types that are given.
            max_bytes: How large the file may be once unpacked.

        Raises:
            InvalidFieldError: The header is missing or wrong.
        """
        self._plain = unpacked(path, scratch, max_bytes)
        self._scratch = scratch
        self._spec = spec
        self._retries = 0
        self._repeating: set[str] = set()
        # Columns of numbers that are written with words for "missing", or decimal commas.
        self._written: set[str] = set()
        self._begin(find_encoding(self._plain, spec.csv.encoding))

    def _begin(self, encoding: str) -> None:
        self._encoding = encoding
        self._path = as_utf8(self._plain, self._scratch, encoding)
        self._dialect = find_dialect(self._path, self._spec.csv)
        self.columns = [RawColumn(name, RawKind.UNPARSED) for name in self._dialect.names]
        self._find_numbers(self._spec)

    @property
    def found(self) -> Found:
        """See `Source`."""
        dialect = self._dialect
        options = {
            "delimiter": dialect.delimiter,
            "quote": dialect.quote,
            "encoding": self._encoding,
            "header": dialect.has_header,
            "decimal_separator": dialect.decimal,
        }
        return Found(csv=self._spec.csv.model_copy(update=options))

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`. Empty cells are missing; texts are trimmed by whoever reads them."""
        step = batch_rows(len(names), line_bytes(self._path))
        self._repeating = {column.name for column in self.columns}
        for batch in self._run(self._query(names), step):
            yield self._with_dictionaries(batch)

    def _find_numbers(self, spec: ImportSpec) -> None:
        """Marks the columns that the first rows show to be numbers."""
        columns = sample_columns(self._path, self._dialect)
        for position, (name, cells) in enumerate(zip(self._dialect.names, columns, strict=False)):
            texts = pa.array([cell or None for cell in cells], pa.string())
            given = spec.column_types.get(name)
            is_number = given in (None, ColumnType.NUMERIC) and self._mark_numbers(position, texts)
            if given in (None, ColumnType.TIMESTAMP) and not is_number:
                self._mark_times(position, texts)

    def _mark_numbers(self, position: int, texts: pa.Array) -> bool:
        """Marks numbers. Returns whether the column holds some."""
        name = self._dialect.names[position]
        dotted = texts
        if self._dialect.decimal == ",":
            dotted = pc.replace_substring(texts, ",", ".", max_replacements=1)
        words = pa.array(self._dialect.missing, pa.string())
        given = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=words)
        dotted = pc.if_else(given, pa.scalar(None, pa.string()), dotted)
        numbers = parsing.parse_numbers(parsing.clean(dotted))
        if numbers is None or numbers.null_count == len(numbers):
            return False
        has_words = words or numbers.null_count > texts.null_count
        if self._dialect.decimal == "," or has_words:
            self._written.add(name)
        self.columns[position] = RawColumn(name, RawKind.NUMBER)
        return True

    def _mark_times(self, position: int, texts: pa.Array) -> None:
        """Marks times of which there are too many to be classes."""
        if len(texts.unique()) > MAX_CATEGORIES and parsing.cast_timestamps(texts) is not None:
            self.columns[position] = RawColumn(self._dialect.names[position], RawKind.TIMESTAMP)

    def _with_dictionaries(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keeps texts that repeat once (what does not repeat is not tried again), and no NaN."""
        pairs = zip(batch.schema.names, batch.columns, strict=True)
        arrays = [self._compact(name, values) for name, values in pairs]
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def _compact(self, name: str, values: pa.Array) -> pa.Array:
        if pa.types.is_floating(values.type):
            return without_nan(values)
        if pa.types.is_timestamp(values.type):
            if not parsing.are_dates(values):  # DuckDB reads `infinity`
                self._change(name)
            return values
        if name not in self._repeating:
            return values
        encoded = values.dictionary_encode()
        if len(encoded.dictionary) * 2 <= len(values):
            return encoded
        self._repeating.discard(name)
        return values

    def _run(self, query: str, step: int) -> Iterator[pa.RecordBatch]:
        with connected(self._scratch, len(self.columns)) as connection:
            try:
                yield from connection.sql(query).to_arrow_reader(step)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                self._change_column(str(error))
                self._change_encoding(str(error))
                if FAULT_OF_FILE not in str(error):
                    raise
                raise self._explained(error) from error

    def _change_column(self, message: str) -> None:
        """Reads a column as text from now on where it is not all numbers.

        Raises:
            MisreadError: It was.
        """
        found = _CONVERSION.search(message)
        if found is None:
            return
        self._change(self._dialect.names[int(found.group(1) or found.group(2))])

    def _change(self, wrong: str) -> None:
        self._retries += 1
        for number, column in enumerate(self.columns):
            if column.name == wrong or self._retries > _MAX_RETRIES:
                self.columns[number] = RawColumn(column.name, RawKind.UNPARSED)
        raise MisreadError(wrong)

    def _change_encoding(self, message: str) -> None:
        """Reads the file in another encoding from now on where the rows show that it has one.

        Raises:
            MisreadError: It has.
        """
        if self._spec.csv.encoding or self._encoding != UTF8 or not _NOT_UTF8.search(message):
            return
        encoding = find_encoding(self._plain, "", whole=True)
        if encoding != UTF8:
            self._begin(encoding)
            raise MisreadError(encoding)

    def _query(self, names: Sequence[str]) -> str:
        dialect = self._dialect
        kinds = {column.name: column.kind for column in self.columns}
        positions = {name: number for number, name in enumerate(dialect.names)}
        # Columns go by position: DuckDB compares names without regard to case.
        types = ", ".join(
            f"'c{number}': '{_TYPES[kinds[name]] if self._is_plain(name, kinds) else 'VARCHAR'}'"
            for name, number in positions.items()
        )
        chosen = ", ".join(
            f"{self._value(name, positions[name], kinds)} AS {quoted(name)}" for name in names
        )
        return (
            f"SELECT {chosen} FROM read_csv({sql_text(str(self._path))}, columns={{{types}}}, "
            f"auto_detect=false, header={str(dialect.has_header).lower()}, "
            f"delim={sql_text(dialect.delimiter)}, quote={sql_text(dialect.quote)}, "
            f"escape={sql_text(dialect.quote)}, strict_mode=true, null_padding=false, "
            f"ignore_errors=false, max_line_size={MAX_LINE_BYTES}, "
            f"buffer_size={_BUFFER_BYTES})"
        )

    def _is_plain(self, name: str, kinds: Mapping[str, RawKind]) -> bool:
        """Returns whether DuckDB can read the values of a column as they are written."""
        return kinds[name] in _TYPES and name not in self._written

    def _value(self, name: str, position: int, kinds: Mapping[str, RawKind]) -> str:
        """Returns the expression of a column's values."""
        column = f"c{position}"
        if self._is_plain(name, kinds):
            return column
        missing = ", ".join(sql_text(word) for word in self._dialect.missing)
        if kinds[name] is not RawKind.NUMBER:
            return (
                f"CASE WHEN {column} IN ({missing}) THEN NULL ELSE {column} END"
                if missing
                else column
            )
        words = ", ".join(sql_text(word) for word in ("", "nan", *parsing.NOTHING_WORDS))
        number = f"replace({column}, ',', '.')" if self._dialect.decimal == "," else column
        nothing = f"{column} IS NULL OR lower(trim({column})) IN ({words})"
        if missing:
            nothing += f" OR {column} IN ({missing})"
        fault = f"CAST(error('CAST_FAULT {column}') AS DOUBLE)"
        return (
            f"CASE WHEN {nothing} THEN NULL "
            f"ELSE coalesce(TRY_CAST({number} AS DOUBLE), {fault}) END"
        )

    def _explained(self, error: Exception) -> InvalidFieldError:
        text = str(error)
        found = _LINE.search(text)
        if found is None:
            line = _first_other_ending(self._path)
            if line:
                return bad_file(
                    f"line {line} ends unlike the lines before it; use one kind of line ending",
                    "RAGGED_FILE",
                )
            told = text.splitlines()[0][:300]
            return bad_file(f"the CSV file cannot be read ({told}); save it as CSV again")
        line = _line_of_record(self._path, self._dialect, int(found.group(1)))
        widths = _WIDTH.search(text)
        if widths:
            return bad_file(
                f"line {line} has {widths.group(2)} values where the header has "
                f"{widths.group(1)}; give every line the same number of values",
                "RAGGED_FILE",
            )
        return bad_file(f"line {line} {_complaint(text)}", "UNREADABLE_FILE")


def _complaint(text: str) -> str:
    if _NOT_UTF8.search(text):
        return "is not UTF-8 text; save the file as UTF-8, or give its encoding"
    if "unterminated quote" in text:
        return 'has a quote that does not end; write a quote within quotes as ""'
    if "Maximum line size" in text:
        return f"is longer than {MAX_LINE_BYTES // 2**20} MiB; check its quotes"
    return "is not valid CSV; check its quotes and commas"


def _line_of_record(path: Path, dialect: Dialect, record: int) -> int:
    """Returns the line where a record begins; a value in quotes may span several lines."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=dialect.delimiter, quotechar=dialect.quote)
        for _ in itertools.islice(reader, record - 1):
            pass
        return reader.line_num + 1


def _first_other_ending(path: Path) -> int:
    """Returns the number of the first line that ends in another way than line 1; 0 for none."""
    with path.open("rb") as file:
        first = b""
        for number, line in enumerate(file, 1):
            ending = b"\r\n" if line.endswith(b"\r\n") else line[-1:]
            first = first or ending
            if ending != first and line.endswith(b"\n"):
                return number
    return 0

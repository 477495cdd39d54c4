"""CSV files, read by DuckDB in strict mode: a row that does not fit is an error, not a repair."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from common.errors import InvalidFieldError
from services.catalog.domain.fields import bad_file, listed
from services.catalog.domain.sources.base import RawColumn, RawKind, batch_rows

MEMORY_LIMIT_MB = 512
_THREADS = 2
_MAX_COLUMNS = 10_000
_SAMPLE_BYTES = 1024 * 1024
_MAX_LINE_BYTES = 16 * 1024 * 1024
_FAULT_OF_FILE = "Invalid Input Error"
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


class CsvSource:
    """A CSV file: UTF-8, commas, double quotes, a header line.

    All values come as text: what they stand for is decided by the whole column.
    """

    default_target = ""

    def __init__(self, path: Path, scratch: Path) -> None:
        """Reads the header.

        Args:
            path: The file.
            scratch: Directory for what does not fit into DuckDB's memory limit.

        Raises:
            InvalidFieldError: The header is missing or wrong.
        """
        self._path = path
        self._scratch = scratch
        self.columns = [RawColumn(name, RawKind.UNPARSED) for name in _read_header(path)]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`. Empty cells are missing; values are trimmed by whoever reads them."""
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{MEMORY_LIMIT_MB}MB",
            "threads": _THREADS,
            "temp_directory": str(self._scratch),
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(config=options) as connection:
            try:
                rows = connection.sql(self._query(names), params=[str(self._path)])
                step = batch_rows(len(names), _line_bytes(self._path))
                yield from rows.to_arrow_reader(step)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if _FAULT_OF_FILE not in str(error):
                    raise
                raise self._explained(error) from error

    def _query(self, names: Sequence[str]) -> str:
        positions = {column.name: number for number, column in enumerate(self.columns)}
        # Columns go by position: DuckDB compares names without regard to case.
        types = ", ".join(f"'c{number}': 'VARCHAR'" for number in positions.values())
        chosen = ", ".join(f"c{positions[name]} AS {_quoted(name)}" for name in names)
        return (
            f"SELECT {chosen} FROM read_csv(?, columns={{{types}}}, auto_detect=false, "
            "header=true, delim=',', quote='\"', escape='\"', strict_mode=true, "
            f"null_padding=false, ignore_errors=false, max_line_size={_MAX_LINE_BYTES})"
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
            return bad_file(f"the CSV file cannot be read: {text.splitlines()[0]}")
        line = _line_of_record(self._path, int(found.group(1)))
        widths = _WIDTH.search(text)
        if widths:
            return bad_file(
                f"line {line} has {widths.group(2)} values where the header has "
                f"{widths.group(1)}; give every line the same number of values",
                "RAGGED_FILE",
            )
        return bad_file(f"line {line} {_complaint(text)}", "UNREADABLE_FILE")


def _complaint(text: str) -> str:
    if "unicode" in text:
        return "is not UTF-8 text; save the file as UTF-8"
    if "unterminated quote" in text:
        return 'has a quote that does not end; write a quote within quotes as ""'
    if "Maximum line size" in text:
        return f"is longer than {_MAX_LINE_BYTES // 2**20} MiB; check its quotes"
    return "is not valid CSV; check its quotes and commas"


def _read_header(path: Path) -> list[str]:
    """Returns the column names, trimmed.

    Raises:
        InvalidFieldError: There is no header line, or names are missing or doubled.
    """
    try:
        # Wrong bytes further down are found, with their line, when the rows are read.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            names = [name.strip() for name in next(csv.reader(_bounded(file), strict=True), [])]
    except csv.Error as error:
        raise bad_file(f"line 1 is not valid CSV: {error}", "UNREADABLE_FILE") from None
    if any(name.encode(errors="ignore").decode() != name for name in names):
        raise bad_file("line 1 is not UTF-8 text; save the file as UTF-8", "UNREADABLE_FILE")
    if not any(names):
        raise bad_file("line 1 is empty; begin with a line of column names", "EMPTY_FILE")
    if len(names) > _MAX_COLUMNS:
        raise bad_file(f"line 1 has {len(names)} columns; at most {_MAX_COLUMNS} can be imported")
    if not all(names):
        raise bad_file(f"column {names.index('') + 1} has no name in line 1; give it one")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise bad_file(f"line 1 names {listed(doubled)} more than once; names must be unique")
    return names


def _bounded(lines: Iterator[str]) -> Iterator[str]:
    """Passes lines on, up to the longest header that is sensible."""
    total = 0
    for line in lines:
        total += len(line)
        if total > _MAX_LINE_BYTES:
            raise csv.Error("it does not end; check its quotes")
        yield line


def _line_bytes(path: Path) -> int:
    """Returns the mean size of the first lines."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    return len(sample) // (1 + max(sample.count(b"\n"), sample.count(b"\r")))


def _line_of_record(path: Path, record: int) -> int:
    """Returns the line where a record begins; a value in quotes may span several lines."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
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


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'

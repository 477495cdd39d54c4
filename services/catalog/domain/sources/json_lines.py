"""JSON Lines, read by DuckDB: an object a line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from common.data.schema import ColumnType
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.arrow_columns import convert_batch, plan_columns
from services.catalog.domain.sources.base import (
    MAX_LINE_BYTES,
    Found,
    batch_rows,
    line_bytes,
    numbered_lines,
)
from services.catalog.domain.sources.tables import FAULT_OF_FILE, connected, quoted, sql_text

_NUMBER_LIST = re.compile(r"(BIGINT|UBIGINT|DOUBLE)\[\d*\]")
_PLAIN = ("BOOLEAN", "BIGINT", "UBIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP")


class JsonLinesSource:
    """Objects whose keys are columns. Nested values become text, lists of numbers embeddings."""

    found = Found()

    def __init__(self, path: Path, scratch: Path, types: Mapping[str, ColumnType]) -> None:
        """Looks through the whole file for its columns and their types.

        Args:
            path: The file, UTF-8.
            scratch: Directory for what does not fit into memory.
            types: Types that were asked for, by column.

        Raises:
            InvalidFieldError: A line is no JSON object.
        """
        self._path = path
        self._scratch = scratch
        with self._connected() as connection:
            table = f"read_json({sql_text(str(path))}, sample_size=-1, {self._options()})"
            rows = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
            self._kinds = {str(row[0]): str(row[1]).strip('"') for row in rows}
            if list(self._kinds.items()) == [("json", "JSON")]:
                self._check_objects()
            self._check_keys()
            widths = self._widths(connection)
            self._values = {
                name: _expression(name, kind, name in widths) for name, kind in self._kinds.items()
            }
            query = f"{self._query(list(self._kinds))} LIMIT 0"
            schema = connection.sql(query).to_arrow_table().schema
        columns = plan_columns(schema, widths, types)
        self._columns = {column.raw.name: column for column in columns}
        self.columns = [column.raw for column in columns]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        chosen = [self._columns[name] for name in names]
        step = batch_rows(len(names), line_bytes(self._path))
        with self._connected() as connection:
            for batch in connection.sql(self._query(names)).to_arrow_reader(step):
                yield convert_batch(batch, chosen)

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connected(self._scratch) as connection:
            try:
                yield connection
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if FAULT_OF_FILE not in str(error):
                    raise
                self._check_objects()
                first = str(error).splitlines()[0][:300]
                text = f"the file cannot be read ({first}); write one JSON object a line"
                raise bad_file(text, "UNREADABLE_FILE") from error

    def _check_objects(self) -> None:
        """Looks for a line that is no JSON object, and for one that is.

        Raises:
            InvalidFieldError: Names the first that is none, or says that there are no rows.
        """
        has_rows = False
        with self._path.open("rb") as file:
            for number, line in numbered_lines(file):
                problem = _problem(line)
                if problem:
                    raise bad_file(f"line {number} {problem}", "UNREADABLE_FILE")
                has_rows = has_rows or bool(line.strip())
        if not has_rows:
            raise bad_file("the file has no rows", "EMPTY_FILE")

    def _check_keys(self) -> None:
        """Refuses keys that differ by case only, to which DuckDB gives numbers.

        Raises:
            InvalidFieldError: Names such a key.
        """
        lower = {name.lower() for name in self._kinds}
        pairs = [name.rpartition("_") for name in self._kinds]
        bases = [
            base
            for base, _, number in pairs
            if number.isdecimal() and base.lower() in lower and base not in self._kinds
        ]
        if bases and self._keys() != set(self._kinds):
            raise bad_file(f"the key `{bases[0]}` is there in several spellings; use one")

    def _keys(self) -> set[str]:
        """Returns the keys as they are written, for the rare case that this is in doubt."""
        with self._path.open("rb") as file:
            lines = (line for _, line in numbered_lines(file) if line.strip())
            return {key for line in lines for key in json.loads(line)}

    def _widths(self, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        """Returns the length of the lists of numbers in columns where all have the same."""
        lists = [name for name, kind in self._kinds.items() if _NUMBER_LIST.fullmatch(kind)]
        if not lists:
            return {}
        lengths = [f"len({quoted(name)})" for name in lists]
        spans = ", ".join(f"min({length}), max({length})" for length in lengths)
        (found,) = connection.execute(f"SELECT {spans} FROM {self._table()}").fetchall()
        pairs = zip(lists, found[::2], found[1::2], strict=True)
        return {name: int(most) for name, least, most in pairs if most and least == most}

    def _query(self, names: Sequence[str]) -> str:
        chosen = ", ".join(f"{self._values[name]} AS {quoted(name)}" for name in names)
        return f"SELECT {chosen} FROM {self._table()}"

    def _table(self) -> str:
        kinds = ", ".join(
            f"{sql_text(name)}: {sql_text('JSON' if kind == 'NULL' else kind)}"
            for name, kind in self._kinds.items()
        )
        return (
            f"read_json({sql_text(str(self._path))}, columns={{{kinds}}}, "
            f"records=true, {self._options()})"
        )

    def _options(self) -> str:
        return (
            "format='newline_delimited', map_inference_threshold=-1, "
            f"maximum_object_size={MAX_LINE_BYTES}"
        )


def _expression(name: str, kind: str, is_vector: bool) -> str:
    column = quoted(name)
    if kind in _PLAIN or is_vector:
        return column
    if kind in ("JSON", "NULL"):
        return f"{column} ->> '$'"  # texts without their quotes
    if kind.endswith("INT"):
        return f"CAST({column} AS DOUBLE)"
    nested = kind.endswith("]") or "(" in kind
    return f"CAST(to_json({column}) AS VARCHAR)" if nested else f"CAST({column} AS VARCHAR)"


class _RepeatedKeyError(Exception):
    """An object has a key twice, by its name."""


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = value
    return found


def _problem(line: bytes) -> str:
    if not line.strip():
        return ""
    try:
        value = json.loads(line, object_pairs_hook=_distinct)
    except UnicodeDecodeError:
        return "is not UTF-8 text; save the file as UTF-8"
    except _RepeatedKeyError as error:
        return f"has the key `{error}` twice; keep one of them"
    except (ValueError, RecursionError) as error:
        return f"is no JSON ({error}); write one object a line"
    if not isinstance(value, dict) or not value:
        return "is no object with keys; write one object a line"
    return ""

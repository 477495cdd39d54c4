"""JSON Lines, read by DuckDB: an object a line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from common.data.schema import ColumnType
from common.errors import InvalidFieldError
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.arrow_columns import convert_batch, plan_columns
from services.catalog.domain.sources.base import Found, batch_rows
from services.catalog.domain.sources.tables import connected, quoted, sql_text

_MAX_LINE_BYTES = 16 * 1024 * 1024
_ROW_BYTES = 1024
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
                raise self._explained()
            _check_keys(list(self._kinds))
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
        step = batch_rows(len(names), _ROW_BYTES)
        with self._connected() as connection:
            for batch in connection.sql(self._query(names)).to_arrow_reader(step):
                yield convert_batch(batch, chosen)

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connected(self._scratch) as connection:
            try:
                yield connection
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if "JSON" not in str(error):
                    raise
                raise self._explained(str(error).splitlines()[0]) from error

    def _explained(self, otherwise: str = "") -> InvalidFieldError:
        """Returns the error for the first line that is no JSON object, or for no rows at all.

        Args:
            otherwise: What is wrong where every line is an object.
        """
        objects = False
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                problem = _problem(line)
                if problem:
                    return bad_file(f"line {number} {problem}", "UNREADABLE_FILE")
                objects = objects or bool(line.strip())
        if objects and otherwise:
            return bad_file(f"the file cannot be read: {otherwise[:300]}", "UNREADABLE_FILE")
        return bad_file("the file has no rows", "EMPTY_FILE")

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
        return f"read_json({sql_text(str(self._path))}, columns={{{kinds}}}, {self._options()})"

    def _options(self) -> str:
        return (
            "format='newline_delimited', map_inference_threshold=-1, "
            f"maximum_object_size={_MAX_LINE_BYTES}"
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


def _check_keys(names: Sequence[str]) -> None:
    """Refuses keys that DuckDB takes for one."""
    lower = {name.lower() for name in names}
    for name in names:
        base, _, number = name.rpartition("_")
        if number.isdecimal() and base and base.lower() in lower and base not in names:
            raise bad_file(f"the key `{base}` is there in several spellings; use one")


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
    if len(line) > _MAX_LINE_BYTES:
        return f"is longer than {_MAX_LINE_BYTES // 2**20} MiB"
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

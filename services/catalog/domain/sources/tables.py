"""DuckDB as the sources use it: in bounded memory, reading nothing but what it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

MEMORY_LIMIT_MB = 512
FAULT_OF_FILE = "Invalid Input Error"
"""Begins the message where a file is at fault, whichever exception carries it."""

_THREADS = 2
_BUFFER = "96MB"
_MANY_COLUMNS, _COLUMNS_PER_MB = 2_000, 8


@contextmanager
def connected(scratch: Path, columns: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a database in memory.

    Args:
        scratch: Directory for what does not fit into its memory limit.
        columns: Of the table that is read. DuckDB holds up to 2,048 rows of all of them at once,
            several times for each thread.
    """
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(MEMORY_LIMIT_MB, columns // _COLUMNS_PER_MB)}MB",
        "threads": _THREADS if columns <= _MANY_COLUMNS else 1,
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": False,
        "enable_external_file_cache": False,  # each file is read once
    }
    with duckdb.connect(config=options) as connection:
        connection.execute(f"SET streaming_buffer_size = '{_BUFFER}'")
        connection.execute("SET enable_progress_bar = false")  # it would go to standard output
        yield connection


def quoted(name: str) -> str:
    """Returns a name for a statement."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def sql_text(value: str) -> str:
    """Returns a text for a statement."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"

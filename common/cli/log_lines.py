"""Log files: their last lines, what is added to them, and JSON lines made readable."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 65536
_POLL_SECONDS = 0.2
_CLOCK = slice(11, 23)  # hours to milliseconds of an ISO 8601 time


def last_lines(path: Path, count: int) -> list[str]:
    """Returns the last lines of a file, in order, without reading the rest of it."""
    if count < 1:
        return []
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") <= count:
            length = min(_BLOCK_BYTES, position)
            position -= length
            file.seek(position)
            data = file.read(length) + data
    return data.decode(errors="replace").splitlines()[-count:]


def last_bytes(path: Path, most: int) -> str:
    """Returns the whole lines among the last bytes of a file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        data = file.read(most)
    if size > most:
        data = data.partition(b"\n")[2]
    return data.decode(errors="replace")


def added_lines(path: Path) -> Iterator[str]:
    """Yields the lines added to a file from this call on, over its rotation; never ends."""
    return _added_after(path, path.stat().st_size)


def _added_after(path: Path, position: int) -> Iterator[str]:
    rest = b""
    while True:
        time.sleep(_POLL_SECONDS)
        size = path.stat().st_size
        if size < position:
            # A log that shrank was rotated: it begins anew.
            position, rest = 0, b""
        with path.open("rb") as file:
            file.seek(position)
            rest += file.read(size - position)
        position = size
        *complete, rest = rest.split(b"\n")
        yield from (line.decode(errors="replace") for line in complete)


def readable(line: str) -> str:
    """Returns a JSON log line as `time LEVEL message (run)`; other lines as they are."""
    try:
        entry = json.loads(line)
        clock, level, message = entry["time"][_CLOCK], entry["level"], entry["message"]
    except (ValueError, TypeError, KeyError):
        return line
    run = f" ({entry['run']})" if entry.get("run") else ""
    exception = f"\n{entry['exception']}" if entry.get("exception") else ""
    return f"{clock} {level:7} {message}{run}{exception}"

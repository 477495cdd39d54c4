"""Log files of bounded size."""

import asyncio
import os
import shutil
import time
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
KEPT = 3
KEPT_SECONDS = 30 * 24 * 3600.0
_INTERVAL_SECONDS = 5.0


def rotate(path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> bool:
    """Moves the content of a log aside when it has grown too large.

    The file itself is copied and emptied rather than renamed: the process that writes it keeps its
    descriptor, opened for appending, and needs not be told.

    Args:
        path: The log.
        max_bytes: Size from which on it is rotated.
        kept: Number of older files, `<name>.1` being the newest.

    Returns:
        Whether it was rotated.
    """
    if not path.exists() or path.stat().st_size < max_bytes:
        return False
    for number in range(kept, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


async def tidy_forever(folder: Path) -> None:
    """Keeps the logs of a folder bounded until it is cancelled."""
    while True:
        await asyncio.to_thread(tidy, folder, time.time())
        await asyncio.sleep(_INTERVAL_SECONDS)


def tidy(folder: Path, now: float) -> None:
    """Rotates the logs of a folder, and removes those that nobody wrote to for a month.

    Args:
        folder: The folder; every run leaves a log in it.
        now: Seconds since 1970.
    """
    for path in folder.glob("*.log*"):
        if now - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)
    for path in folder.glob("*.log"):
        rotate(path)


def last_line(path: Path) -> str:
    """Returns the last line of a log that is not empty, at most 500 characters."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip()[-500:] for line in reversed(lines) if line.strip()), "")

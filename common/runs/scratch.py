"""Folders on the local disk for one attempt of a run."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from google.protobuf.message import Message

from common.host.disk import telling_full_disk
from common.runs.publishing import run_uuid

# A folder is made first and locked then.
_UNLOCKED_SECONDS = 60.0


@contextmanager
def scratch_folder(use: str, run: Message, root: Path | None, cure: str) -> Iterator[Path]:
    """Yields a folder for one attempt; what killed attempts of the same use left is removed first.

    Args:
        use: What it is for, one lower-case word; it begins the folder's name.
        run: The run.
        root: Where; None for the system's place.
        cure: What to do where the disk is full.

    Raises:
        DiskFullError: There is no room for what the block writes.
    """
    base = root or Path(tempfile.gettempdir())
    prefix = f"aimass-{use}-{run_uuid(run)}-"
    for left in base.glob(f"aimass-{use}-*"):
        if left.name.startswith(prefix) or _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    with (
        telling_full_disk(base, cure),
        tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as path,
        ExitStack() as held,
    ):
        with suppress(OSError):  # a file system without locks: nobody else will take it for dead
            held.enter_context(_lock_of(Path(path)))
        yield Path(path)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made a scratch folder is dead: the kernel lets go of its lock."""
    try:
        if time.time() - folder.stat().st_mtime < _UNLOCKED_SECONDS:
            return False
        with _lock_of(folder):
            return True
    except OSError:
        return False


@contextmanager
def _lock_of(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder. Raises `OSError` where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

"""What a person reads when a disk is full."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import DiskFullError, is_full_disk


@contextmanager
def telling_full_disk(
    folder: Path, cure: str = "make room there, then try again"
) -> Iterator[None]:
    """Names the disk when a block fails because it is full.

    Args:
        folder: Where the block writes.
        cure: What to do about it.

    Raises:
        DiskFullError: The disk is full.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError) or not is_full_disk(error):
            raise
        raise DiskFullError(
            f"The disk of {folder} on {socket.gethostname()} is full; {cure}.",
            help_command=f"df -h {folder}",
        ) from error

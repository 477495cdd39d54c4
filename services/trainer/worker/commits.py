"""Where a host keeps a run's newest commit, and how to read what step it holds."""

import json
import struct
from pathlib import Path

from aimass.trainer.v1 import agents_pb2

FILE_NAME = "commit.safetensors"
_HEADER_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 100_000_000


def read_commit(directory: Path) -> agents_pb2.Commit | None:
    """Returns which step the newest commit of a directory holds.

    Reads only the header of the safetensors file: the entries `step` and `epoch` (decimal numbers)
    of its metadata.

    Args:
        directory: A run's commit directory.

    Returns:
        The commit, or None where there is none or the file cannot be read.
    """
    try:
        with (directory / FILE_NAME).open("rb") as file:
            (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
            if length > _MAX_HEADER_BYTES:
                return None
            metadata = json.loads(file.read(length))["__metadata__"]
        return agents_pb2.Commit(step=int(metadata["step"]), epoch=int(metadata["epoch"]))
    except (OSError, ValueError, KeyError, struct.error):
        return None

"""Full disks reach a person by name, whoever noticed them."""

import errno
from pathlib import Path

import pytest
from google.rpc import code_pb2

from common.errors import DiskFullError, to_status
from common.host.disk import telling_full_disk


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_with_the_cure(tmp_path: Path) -> None:
    """Whoever writes to a folder says which one is full, also where a library wrapped the error."""

    class LibraryError(Exception):
        """DuckDB's errors are no OSError, and carry only the system's words."""

    for error in (full(), LibraryError("Could not write file: No space left on device")):
        with (
            pytest.raises(DiskFullError, match=f"{tmp_path}.*is full; make room") as caught,
            telling_full_disk(tmp_path),
        ):
            raise error
        assert caught.value.help_command == f"df -h {tmp_path}"


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    """A missing file is not put down to the disk."""
    with pytest.raises(FileNotFoundError), telling_full_disk(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_a_full_disk_is_no_internal_error() -> None:
    """Where nobody named the disk, callers still learn that it is full, by a code of its own."""
    try:
        try:
            raise full()
        except OSError as error:
            raise RuntimeError("cannot spool") from error
    except RuntimeError as error:
        status = to_status(error)
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    assert "disk" in status.message
    assert to_status(RuntimeError("a secret")).code == code_pb2.INTERNAL

"""How much memory a process holds for itself, and a bound that it meets from inside."""

import re
import resource

_KIB = 1024
_HELD = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s*(\d+)", re.MULTILINE)
_PEAK = re.compile(rb"^VmHWM:\s*(\d+)", re.MULTILINE)
_FILES = re.compile(rb"^RssFile:\s*(\d+)", re.MULTILINE)
_DATA = re.compile(rb"^VmData:\s*(\d+)", re.MULTILINE)
_SLACK_BYTES = 256 << 20


def held_bytes(pid: int | str = "self") -> int:
    """Returns the resident memory of a process that no file stands behind; 0 if it has ended."""
    return _bytes(_HELD, _status(pid))


def peak_held_bytes() -> int:
    """Returns the most that this process ever held since it was forked, at least.

    The kernel notes the most of all that was resident. What is mapped from files by now, mostly
    libraries, was so then too or less of it.
    """
    status = _status("self")
    return max(_bytes(_PEAK, status) - _bytes(_FILES, status), _bytes(_HELD, status))


def refuse_beyond(limit: int) -> None:
    """Makes this process meet a `MemoryError` where it asks for far more than a bound at once.

    What is asked for is often not used in full, so that the bound itself is watched from outside;
    here it is doubled.

    Args:
        limit: What it may hold beyond what it holds now.
    """
    data = _bytes(_DATA, _status("self")) + 2 * limit + _SLACK_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or data < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (data, hard))


def _status(pid: int | str) -> bytes:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - read 50 times a second
            return file.read()
    except OSError:
        return b""


def _bytes(pattern: re.Pattern[bytes], status: bytes) -> int:
    return _KIB * sum(map(int, pattern.findall(status)))

"""How much memory this process has. Imports no torch."""

from pathlib import Path

_STATUS = Path("/proc/self/status")
_KILO = 1024


def resident_bytes() -> int:
    """Returns what is resident now, memory shared with other processes included."""
    return _entry("VmRSS")


def peak_resident_bytes() -> int:
    """Returns the most that was resident since the process was forked."""
    return _entry("VmHWM")


def _entry(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KILO
    return 0

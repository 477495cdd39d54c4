"""Turns what workers print into log lines, and keeps a flood of it from the run's events."""

import time
from collections.abc import Callable

MAX_LINE = 4000
_BURST = 200
_LINES_PER_SECOND = 50.0


class LineCutter:
    """Cuts a stream of bytes into lines, at most so many a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts empty.

        Args:
            clock: Seconds; tests give their own.
        """
        self._clock = clock
        self._rest = b""
        self._allowance = float(_BURST)
        self._filled_at = clock()
        self._left_out = 0

    def feed(self, data: bytes) -> list[str]:
        """Takes bytes as they came; returns the lines that are complete and may be passed on."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        return self._admit(lines)

    def finish(self) -> list[str]:
        """Returns what is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return self._admit([rest]) + self._report_left_out()

    def _admit(self, lines: list[bytes]) -> list[str]:
        now = self._clock()
        self._allowance = min(_BURST, self._allowance + (now - self._filled_at) * _LINES_PER_SECOND)
        self._filled_at = now
        admitted: list[str] = []
        for line in lines:
            text = line.decode(errors="replace").rstrip()[:MAX_LINE]
            if not text:
                continue
            if self._allowance < 1:
                self._left_out += 1
                continue
            self._allowance -= 1
            admitted += [*self._report_left_out(), text]
        return admitted

    def _report_left_out(self) -> list[str]:
        count, self._left_out = self._left_out, 0
        return [f"({count} lines left out)"] if count else []

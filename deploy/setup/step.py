"""Runs the commands of the set-up with visible progress and a log that is shown on failure."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

CACHE = Path(
    os.environ.get("AIMASS_CACHE") or Path.home() / ".cache" / "aimass"
)  # what is built once for all checkouts


class StepError(RuntimeError):
    """A command of the set-up failed."""


def run(title: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Runs a command, showing how long it has been at work.

    Args:
        title: What is being done, for a person.
        command: The command and its arguments.
        environment: Variables on top of this process's.

    Raises:
        StepError: The command failed; the end of its output is in the message.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )
        while True:
            try:
                code = child.wait(timeout=1 if sys.stdout.isatty() else 15)
                break
            except subprocess.TimeoutExpired:
                _show(f"{title} ... {time.monotonic() - started:.0f} s", final=False)
        _show(f"{title}: {time.monotonic() - started:.0f} s", final=True)
        if code:
            log.seek(0)
            tail = log.read().decode(errors="replace").splitlines()[-30:]
            raise StepError("\n".join([f"{title} failed:", *tail]))


def _show(text: str, *, final: bool) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="\n" if final else "", flush=True)
    else:
        print(f"  {text}", flush=True)
